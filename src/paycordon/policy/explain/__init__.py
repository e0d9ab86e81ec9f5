"""Why a policy decided as it did. For the risk team only: nothing of it may reach a merchant."""
