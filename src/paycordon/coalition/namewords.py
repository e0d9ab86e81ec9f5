"""Words around names that are written or left out as one likes: courtesy, and legal forms of companies."""

from __future__ import annotations

COURTESY = frozenset(
    ("mr", "mrs", "ms", "miss", "mx", "dr", "prof", "herr", "frau", "monsieur", "madame", "mme", "sra")
)
"""What stands before a person's name and is no name itself."""

SPELT_OUT = (
    "gesellschaft mit beschrankter haftung",
    "aktiengesellschaft",
    "kommanditgesellschaft",
    "public limited company",
    "private limited company",
    "limited liability company",
    "limited liability partnership",
    "limited partnership",
    "open joint stock company",
    "public joint stock company",
    "closed joint stock company",
    "joint stock company",
    "societe anonyme",
    "societe a responsabilite limitee",
    "societe par actions simplifiee",
    "sociedad anonima",
    "sociedad limitada",
    "sociedad de responsabilidad limitada",
    "sociedade limitada",
    "societa per azioni",
    "societa a responsabilita limitata",
    "societatea cu raspundere limitata",
    "besloten vennootschap",
    "naamloze vennootschap",
    "spolka z ograniczona odpowiedzialnoscia",
    "spolka akcyjna",
    "obschestvo s ogranichennoi otvetstvennostyu",
    "obshchestvo s ogranichennoy otvetstvennostyu",
    "aktsionernoe obshchestvo",
    "akcionernoe obsestvo",
    "общество с ограниченнои ответственностью",  # noqa: RUF001
    "акционерное общество",
)
"""Legal forms in full, which the library of the world's short ones lacks; without accents."""
