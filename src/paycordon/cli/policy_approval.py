"""`paycordon policy keygen`, `sign`, `approve`, `history` and `rollback`."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from paycordon.cli.options import DEFAULT_CONFIG, ConfigOption, JsonOption, read_config
from paycordon.cli.output import print_json, print_line, print_note, print_table
from paycordon.cli.root import FINDINGS

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from paycordon.config import Config
    from paycordon.policy.approval import Approval
    from paycordon.policy.signing import Role, Signature
    from paycordon.reload import Candidate
    from paycordon.store import Store

Signer = Annotated[str, typer.Option("--as", help="Your name under `approvals.signers` in the configuration.")]
Key = Annotated[str, typer.Option(help="Your private key: `file:PATH` or `env:NAME`.")]
Digest = Annotated[str | None, typer.Option(help="A set of `paycordon policy history`; else the files as they are.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]


def keygen(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Whose key it is: letters, digits and `_`.")],
    directory: Annotated[Path, typer.Option(help="Where the two files are made.")] = Path(),
    as_json: JsonOption = False,
) -> None:
    """Make a person's key to sign policies with; what exists is never replaced.

    NAME.pem is the private key and stays with its owner. NAME.pub.pem goes into the configuration.
    """
    from paycordon.policy.keyfiles import make

    private, public = make(name, directory)
    if as_json:
        print_json({"private": str(private), "public": str(public)})
        return
    print_line(f"made {private}, which nobody else may read, and {public}")
    print_line(f"in the configuration: approvals: {{required: true, signers: {{{name}: file:{public}}}}}")


def sign(
    signer: Signer,
    key: Key,
    digest: Digest = None,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> int:
    """Sign the policies as their author. Exits with 1 while another signature is missing."""
    from paycordon.policy.signing import Role

    with _opened(config) as (loaded, store):
        private = _key(loaded, signer, key)
        candidate = _candidate(loaded, store, digest)
        _write(candidate, signer, private, Role.AUTHOR)
        return _tell(_candidate(loaded, store, digest), signer, Role.AUTHOR, as_json=as_json)


def approve(
    signer: Signer,
    key: Key,
    digest: Digest = None,
    yes: Yes = False,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> int:
    """Show what the policies change, and agree to it as the second person. Exits with 1 while a signature is missing.

    The author of a change cannot be the one who approves it.
    """
    from paycordon.cli.inputs import checked
    from paycordon.policy.signing import Role

    checked("not asking without a terminal; confirm with `--yes`", yes or (sys.stdin.isatty() and not as_json))
    with _opened(config) as (loaded, store):
        private = _key(loaded, signer, key)
        candidate = _candidate(loaded, store, digest)
        if not as_json:
            _show(candidate)
        if not yes:
            question = f"approve {candidate.policies.digest[:12]} as {signer}?"
            checked("not approved", typer.confirm(question, err=True))
        _write(candidate, signer, private, Role.APPROVER)
        return _tell(_candidate(loaded, store, digest), signer, Role.APPROVER, as_json=as_json)


def history(config: ConfigOption = DEFAULT_CONFIG, as_json: JsonOption = False) -> None:
    """List when which policies came into force, who had signed them, and what they changed."""
    from paycordon.store import policies as kept

    with _opened(config) as (_, store), store.read() as connection:
        taken = kept.history(connection)
        newest = kept.in_force(connection)
    now = newest.digest if newest else None
    last = max((each.seq for each in taken if each.digest == now), default=0)
    if as_json:
        print_json([{**asdict(each), "in_force": each.seq == last} for each in taken])
    elif not taken:
        print_line("no policies were ever in force; the first process that starts takes those of the configuration")
    else:
        rows = [
            (
                "now" if each.seq == last else None,
                each.at,
                each.digest[:12],
                "\n".join(each.signers),
                _brief(each.changes),
            )
            for each in reversed(taken)
        ]
        print_table(("in force", "since", "digest", "signed by", "what changed"), rows)


def rollback(
    digest: Annotated[str, typer.Argument(metavar="DIGEST", help="The set, or the beginning of its digest.")],
    yes: Yes = False,
    config: ConfigOption = DEFAULT_CONFIG,
    as_json: JsonOption = False,
) -> None:
    """Put the files of an earlier policy set back; running processes take them within 5 s.

    The signatures that the set had count again. Where it loosens a rule for the protection of children and had no
    second person's signature, it needs one first: `paycordon policy approve --digest`.
    """
    from paycordon.cli.inputs import checked
    from paycordon.rollback import replace
    from paycordon.screening import utc_now

    checked("not asking without a terminal; confirm with `--yes`", yes or (sys.stdin.isatty() and not as_json))
    with _opened(config) as (loaded, store):
        candidate = _candidate(loaded, store, digest)
        if not as_json:
            _show(candidate)
        candidate.approval.demand()
        if not yes:
            question = f"put the files of {candidate.policies.digest[:12]} back?"
            checked("not put back", typer.confirm(question, err=True))
        signatures = candidate.approval.signed.signatures
        done = replace(loaded, candidate.policies, candidate.files, signatures, utc_now())
    if as_json:
        print_json({"digest": candidate.policies.digest, **asdict(done)})
        return
    print_line(
        f"{len(done.written)} files written, {len(done.removed)} removed; running processes take them within 5 s"
    )
    if done.backup:
        print_line(f"what was there before is in {done.backup}")


@contextmanager
def _opened(path: Path) -> Iterator[tuple[Config, Store]]:
    from paycordon.store import Store

    loaded = read_config(path)
    store = Store.open(loaded.store)
    try:
        yield loaded, store
    finally:
        store.close()


def _candidate(config: Config, store: Store, digest: str | None) -> Candidate:
    """Compare the files as they are, or a set that was in force before, with what is in force."""
    from paycordon.policy.load import root_of
    from paycordon.reload import examine, read
    from paycordon.store import policies as kept
    from paycordon.store.lists import StoredLists

    if digest is None:
        with store.read() as connection:
            policies, files = read(config, StoredLists(connection))
        return examine(config, store, policies, files)
    root = root_of(config.policy_files())
    with store.read() as connection:
        earlier = kept.named(connection, digest)
        policies = kept.load(connection, earlier, root)
    return examine(config, store, policies, kept.files_of(earlier, root), earlier.signatures)


def _key(config: Config, signer: str, reference: str) -> Ed25519PrivateKey:
    """Read a signer's private key and make sure that it is the one whose public half is configured."""
    from paycordon.errors import ConfigError, Position
    from paycordon.keys import private_key_from
    from paycordon.policy.signing import keys_of
    from paycordon.secretrefs import Secrets

    keys = keys_of(config.approvals.signers)
    if signer not in keys:
        known = ", ".join(f"`{name}`" for name in keys) or "nobody"
        hint = f"there is {known}; `paycordon policy keygen {signer}` makes a key"
        raise ConfigError(f"`{signer}` is not among `approvals.signers`", hint=hint)
    pem = Secrets(os.environ, Path.cwd()).resolve(reference, Position("--key"))
    hint = f"`paycordon policy keygen {signer}` makes one"
    private = private_key_from(pem, f"the private key of `{signer}`", hint)
    if private.public_key().public_bytes_raw() != keys[signer].public_bytes_raw():
        raise ConfigError(f"the key is not the one of `{signer}` in the configuration", hint=hint)
    return private


def _write(candidate: Candidate, signer: str, key: Ed25519PrivateKey, role: Role) -> None:
    """Put a signature beside the policies, unless the same person signed already."""
    from paycordon.cli.inputs import checked
    from paycordon.policy import signing
    from paycordon.policy.load import root_of
    from paycordon.rollback import write
    from paycordon.screening import utc_now

    signed = candidate.approval.signed
    other = signing.Role.APPROVER if role is signing.Role.AUTHOR else signing.Role.AUTHOR
    checked(f"`{signer}` has signed these as {other}; another person has to", signer not in signed.names(other))
    root = root_of(candidate.files)
    mine = [each for each in signed.signatures if (each.role, each.signer) == (role, signer)]
    signature: Signature = mine[0] if mine else signing.sign(key, candidate.policies.digest, role, signer, utc_now())
    write(root / signature.file, signature.text.encode())


def _tell(candidate: Candidate, signer: str, role: Role, *, as_json: bool) -> int:
    approval = candidate.approval
    if as_json:
        print_json({"signer": signer, "role": role, **_document(candidate)})
    else:
        print_line(f"signed {approval.digest} as {role}; commit the directory `.signatures` with the policies")
        if approval.missing:
            print_line(f"still missing: a signature as {' and as '.join(approval.missing)}")
            _note_refused(approval)
    return FINDINGS if approval.missing else 0


def _show(candidate: Candidate) -> None:
    approval = candidate.approval
    print_line(f"these are {approval.digest}")
    print_line(f"in force is {candidate.previous or 'nothing yet'}")
    rows = [(change.why, change.where, change.text) for change in approval.changes]
    if rows:
        print_table(("takes a second person for", "where", "what changes"), rows)
    else:
        print_line("they change nothing that is in force")
    needs = ("no signature", "an author's signature", "an author's and a second person's signature")[approval.people]
    have = ", ".join(f"{each.signer} ({each.role})" for each in approval.signed.signatures) or "nobody"
    print_line(f"this needs {needs}; signed by {have}")
    _note_refused(approval)


def _note_refused(approval: Approval) -> None:
    for each in approval.signed.refused:
        print_note(f"not counted: {each}")


def _document(candidate: Candidate) -> dict[str, Any]:
    approval = candidate.approval
    return {
        "digest": approval.digest,
        "in_force": candidate.previous,
        "people_needed": approval.people,
        "missing": list(approval.missing),
        "signed": [{"signer": each.signer, "role": each.role, "at": each.at} for each in approval.signed.signatures],
        "refused": list(approval.signed.refused),
        "changes": [asdict(change) for change in approval.changes],
    }


def _brief(changes: Sequence[str]) -> str:
    shown = list(changes[:3])
    return "\n".join([*shown, *([f"and {len(changes) - 3} more"] if len(changes) > 3 else [])])
