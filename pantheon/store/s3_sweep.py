"""What killed publishers and removals left in S3, cleared up."""

import builtins
import json

from pantheon.store.bucket import Bucket
from pantheon.store.records import MANIFEST, Damaged
from pantheon.store.s3_aliases import Aliases
from pantheon.store.s3_claims import ABANDONED, PUBLISHED, PUBLISHING, REMOVED, Claim, Claims
from pantheon.store.s3_versions import Versions


def sweep(
    bucket: Bucket, claims: Claims, versions: Versions, aliases: Aliases, name: str, older_than: float
) -> builtins.list[str]:
    """Every version of ``name`` that is half there: finished where every file is, else removed.

    Only what is ``older_than`` seconds old by the server's clock. Whoever still works on one finds that it lost.

    Returns:
        What was done, a line each; and for each damaged claim, that its version is left as it is.
    """
    done = []
    clock = bucket.time().timestamp()
    written = claims.numbers(name)
    for number in sorted({*written, *versions.folders(name)}):
        prefix = versions.key(name, str(number), "")
        there = {each.key: each.modified.timestamp() for each in bucket.list(prefix)}
        newest = max([written.get(number, ("", 0.0))[1], *there.values()])
        whole = prefix + MANIFEST in there
        if clock - newest < older_than:
            continue
        try:
            claim = claims.read(name, number) if number in written else None
        except Damaged as error:  # nothing says whose it is: said, and the others are cleared up all the same
            done.append(f"{error.cause} Its version is left as it is. {error.cure}")
            continue
        if claim is None:
            if there and not whole:  # files that came without a claim
                claim = claims.make(name, number, ABANDONED)
                if claim:
                    done.append(_purged(bucket, prefix))
        elif claim.state == REMOVED:
            done += _removed(bucket, claims, aliases, name, claim, prefix, bool(there))
        elif whole:
            continue
        elif claim.state == PUBLISHED and claim.manifest is not None:
            body = (json.dumps(claim.manifest, indent=1, allow_nan=False) + "\n").encode()
            versions.write_manifest(name, str(number), body)
            done.append(f"{bucket.path(prefix)}: complete but for its manifest, which is written now")
        elif claim.state == PUBLISHING:
            if claims.move(name, claim, ABANDONED):
                done.append(_purged(bucket, prefix))
        elif there:
            done.append(_purged(bucket, prefix))
    return done


def _removed(
    bucket: Bucket, claims: Claims, aliases: Aliases, name: str, claim: Claim, prefix: str, there: bool
) -> builtins.list[str]:
    """A removal that was killed: finished, or taken back where an alias names the version."""
    if not there:
        return []
    if any(record.version == str(claim.number) for record in aliases.all(name).values()):
        claims.move(name, claim, PUBLISHED)
        return [f"{bucket.path(prefix)}: an alias names it, its removal is taken back"]
    bucket.delete(prefix + MANIFEST)
    return [_purged(bucket, prefix)]


def _purged(bucket: Bucket, prefix: str) -> str:
    bucket.purge(prefix)
    return f"{bucket.path(prefix)}: never completed, removed"
