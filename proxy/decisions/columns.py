"""The columns of the decision log, in their order: what the recorder writes and what readers may rely on.

A line has `HEAD`, the columns of its kind, and `LINK`.
"""

from __future__ import annotations

from typing import Final, NamedTuple

SCHEMA: Final = 1


class Column(NamedTuple):
    """One column: its name, the JSON type of its values, and what it says."""

    name: str
    type: str
    description: str


HEAD: Final = (
    Column("v", "integer", "Version of this schema."),
    Column("kind", "string", "exchange | begin | sample | start | stop | gap | repair | checkpoint | admin"),
    Column("time", "string", "When the exchange was accepted, or the line about the log written; RFC 3339, UTC, ms."),
    Column("writer", "string", "Whose chain the line belongs to; a process goes on with that of the one before it."),
    Column("stillgate", "string", "Version of the program."),
)
EXCHANGE: Final = (
    Column("id", "string", "The exchange's id, which the client was told."),
    Column("pack_digest", "string", "Digest of the pack in force."),
    Column("pack_name", "string", "Name of the pack in force."),
    Column("dialect", "string", "The API's wire format."),
    Column("epoch", "string", "The month whose key made the pseudonyms."),
    Column("key", "string", "Pseudonym of the key."),
    Column("account", "string", "Pseudonym of the account."),
    Column("tenant", "string", "Pseudonym of the tenant."),
    Column("peer", "string", "Pseudonym of the client's address."),
    Column("user_agent", "string", "Pseudonym of the client's User-Agent header."),
    Column("plan", "string", "The account's plan."),
    Column("client_request_id", "string", "The id that the client sent along; its own claim."),
    Column("trace_id", "string", "The distributed trace that it belongs to, in 32 hexadecimal digits (W3C)."),
    Column("model", "string", "The model asked for; empty if the request could not be read."),
    Column(
        "fields",
        "object",
        "What is known, by field name: not what is at its default, names somebody or is text.",
    ),
    Column("effect", "string", "allow | degrade | deny"),
    Column("by", "string", "The quota, rung or check that decided; empty for a plain allow."),
    Column("reasons", "array", "Why, in the words of the deciding rule."),
    Column("rung", "string", "The highest rung of the ladder that the exchange stands on; empty if none."),
    Column("score", "integer", "The sum of the live flags that count for it."),
    Column("actions", "array", "The actions that changed the call or the answer."),
    Column("fired", "array", "Ids of the enforced rules that raised a flag."),
    Column("flags", "array", "The live flags that count for it, the highest score first."),
    Column("waiting", "array", "Rungs that are reached but wait for somebody to confirm a flag."),
    Column("exempt", "array", "Ids of the exemptions that kept a rule or a rung from acting, in either world."),
    Column("failed", "array", "Ids of the rules whose condition could not be told."),
    Column("shadow", "object", "If rules and quotas in shadow counted too: {rung, score, fired, denied_by}."),
    Column(
        "counted",
        "object",
        "What each live flag counts: {enforced, shadow}, in each by name [score, people who confirmed it].",
    ),
    Column("template", "string", "Id of the known template that the prompt matches, whoever sent it; empty if none."),
    Column("cluster", "string", "Id of the campaign that the account belongs to; empty if none."),
    Column(
        "ties",
        "object",
        "Whose flags and budgets count for it: {template, cluster, shadow_template, shadow_cluster}.",
    ),
    Column("prints", "array", "Up to 16 of the prompt's keyed prints, in hexadecimal; equal texts share them."),
    Column("status", "integer", "HTTP status given to the client."),
    Column("code", "string", "Error code given to the client; empty if none."),
    Column("quotas", "array", "Ids of the quotas that counted it; each took the units of its own measures."),
    Column("reserved", "object", "Units taken before the answer, by measure; cost_usd in micro-dollars."),
    Column("settled", "object", "Units charged after it, by measure; a concurrency slot is given back."),
    Column("usage", "object", "Tokens charged: {input, output, source}."),
    Column("cost_microusd", "integer", "Cost charged, in millionths of a US dollar."),
    Column("outcome", "string", "How the exchange ended."),
    Column("ms", "object", "Durations: {total, decide, first_byte, upstream}; null if that step was not reached."),
    Column("bytes_in", "integer", "Length of the request's body."),
    Column("bytes_out", "integer", "Length of the answer's body."),
    Column("chunks", "integer", "Pieces in which the answer was passed on; events that came together may be one."),
    Column("upstream", "string", "Name of the upstream; empty if none was called."),
    Column("model_used", "string", "The model that the upstream was asked for: another one if a rung reroutes."),
    Column(
        "helper",
        "object",
        "What came of asking helper models: {made, late, failed, declined, too_long, resting}, each if it was, and the "
        "tokens {input, output} that they reported, which are charged to nobody; empty if none was asked.",
    ),
    Column("sampled", "boolean", "Whether it was taken for a sample; a line of kind sample follows if that was kept."),
    Column("truncated", "boolean", "Whether columns were emptied to keep the line short."),
)
LINK: Final = (
    Column(
        "seq",
        "integer",
        "Position in the writer's chain, from 1; a jump leaves out lines that found no room.",
    ),
    Column("prev", "string", "SHA-256 of the line before it, without its newline, in hexadecimal."),
)
NOTICES: Final = {
    "checkpoint": (
        Column("note", "string", "Where this chain and those of other writers stand, signed (a C2SP signed note)."),
        Column("handover", "string", "The note with which the key before vouched for this one; empty for the first."),
    ),
    "begin": (
        Column("id", "string", "The id of a degraded exchange that goes upstream now."),
        Column("pack_digest", "string", "Digest of the pack in force."),
        Column("rung", "string", "The rung it stands on."),
        Column("actions", "array", "The actions that changed its call."),
    ),
    "sample": (
        Column("id", "string", "The id of an exchange of which a sealed sample is on the disk."),
        Column("sealed_to", "string", "The id of the key that opens it."),
        Column("digest", "string", "SHA-256 of the sealed sample, in hexadecimal."),
        Column("bytes", "integer", "Its length."),
    ),
    "start": (Column("pack_digest", "string", "Digest of the pack loaded."),),
    "stop": (Column("lost", "integer", "Lines that found the queue full since the start."),),
    "gap": (
        Column("started", "string", "When the process that did not end cleanly had started."),
        Column("last", "string", "When it was last seen writing; what came after may be missing."),
    ),
    "repair": (Column("torn_bytes", "integer", "Length of the unfinished line that the file ended with."),),
}
ADMIN: Final = (
    Column("id", "string", "The same in both lines of a change: the one before it and the one with its result."),
    Column("who", "string", "Name of the person: a token's, or the operating system's for the owner of the socket."),
    Column("role", "string", "reviewer | author | operator; empty for what the proxy does by itself."),
    Column("via", "string", "token | socket | process"),
    Column("action", "string", "What was asked for, such as flags.lift."),
    Column("object", "string", "What it was done to."),
    Column("why", "string", "The reason given; empty if none was asked for."),
    Column("result", "string", "begun | done | refused | failed; after failed or a lone begun, look it up."),
)
DROPPED_FIRST: Final = (
    "fields",
    "prints",
    "shadow",
    "counted",
    "reasons",
    "quotas",
    "flags",
    "fired",
    "exempt",
    "failed",
    "waiting",
    "actions",
    "client_request_id",
    "model",
    "model_used",
    "upstream",
    "plan",
    "pack_name",
    "by",
    "code",
    "ties",
)
