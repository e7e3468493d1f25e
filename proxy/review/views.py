"""The views: what a reviewer usually asks, each as one query over the exchanges that were chosen.

Laws: values that somebody chose are parameters, never part of a query; what comes out has its columns named for people
and programs alike; times are UTC. What tells of single rules, quotas and reasons first counts exchanges that are
alike, so that ten million of them become few before lists are taken apart and accounts counted.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

BY: Final[Mapping[str, tuple[str, tuple[str, ...]]]] = {
    "account": ("account", ("account",)),
    "tenant": ("tenant", ("tenant",)),
    "key": ("key", ("key",)),
    "campaign": ("cluster", ("cluster",)),
    "template": ("template", ("template",)),
    "rule": ("unnest(if(len(fired) = 0, [''], fired))", ("fired",)),
    "flag": ("unnest(if(len(flags) = 0, [''], flags))", ("flags",)),
    "effect": ("effect", ("effect",)),
    "decider": ('"by"', ("by",)),
    "rung": ("rung", ("rung",)),
    "plan": ("plan", ("plan",)),
    "model": ("model", ("model",)),
    "dialect": ("dialect", ("dialect",)),
    "outcome": ("outcome", ("outcome",)),
    "status": ("status", ("status",)),
    "code": ("code", ("code",)),
    "pack": ("pack_digest", ("pack_digest",)),
    "day": ("CAST(time AS DATE)", ("time",)),
}
_COUNTS: Final = (
    "count(*) AS exchanges, count(*) FILTER (effect = 'degrade') AS degraded, "
    "count(*) FILTER (effect = 'deny') AS denied"
)
_TIMES: Final = "sum(times)::BIGINT"
# A rung that rejects has an action, the checks of requests have names of their own: what else denies is a quota.
_QUOTA_DENIED: Final = "effect = 'deny' AND len(actions) = 0 AND \"by\" NOT IN ('', 'request', 'client')"


def _times(condition: str) -> str:
    return f"coalesce(sum(times) FILTER ({condition}), 0)::BIGINT"


_WHOLE: Final[Mapping[str, str]] = {}


class View(NamedTuple):
    """One view: what it says, the columns it reads, its query, and what it is grouped by in any case.

    `parts` are the types of columns of which it reads parts only: to read them whole takes a fifth longer. In the query
    `{by}` is one more column to group by, under the name that it has in the answer, `{grouped}` under the one that it
    has in the table `chosen`.
    """

    says: str
    columns: tuple[str, ...]
    query: str
    grouped: frozenset[str] = frozenset()
    parts: Mapping[str, str] = _WHOLE


VIEWS: Final[Mapping[str, View]] = {
    "counts": View(
        "exchanges by what --by names, else by effect",
        ("account", "usage", "cost_microusd"),
        f"""
        SELECT {{by}} {_COUNTS}, count(DISTINCT account) AS accounts,
            coalesce(sum(usage.output), 0)::BIGINT AS output_tokens,
            coalesce(sum(cost_microusd), 0)::BIGINT / 1e6 AS cost_usd
        FROM chosen GROUP BY ALL ORDER BY exchanges DESC, 1 LIMIT $top
        """,
    ),
    "top-reasons": View(
        "why exchanges were flagged, degraded and denied: numbers in a reason become #, and where no rule fired, "
        "earlier flags are named",
        ("account", "by", "reasons", "flags"),
        f"""
        WITH alike AS MATERIALIZED (
            SELECT {{grouped}} account, effect, "by" AS decider, reasons, if(len(reasons) = 0, flags, []) AS flags,
                count(*) AS times, min(time) AS first, max(time) AS last
            FROM chosen WHERE len(reasons) > 0 OR (effect <> 'allow' AND len(flags) > 0) GROUP BY ALL
        )
        SELECT {{by}} effect, decider,
            if(flagged, example, regexp_replace(example, '[0-9]+([.,][0-9]+)*', '#', 'g')) AS reason,
            {_TIMES} AS exchanges, count(DISTINCT account) AS accounts, min(example) AS example,
            min(first) AS first, max(last) AS last
        FROM (
            SELECT *, unnest(reasons) AS example, false AS flagged FROM alike
            UNION ALL SELECT *, concat('flag ', unnest(flags), ', raised before'), true FROM alike
        )
        GROUP BY ALL ORDER BY exchanges DESC, effect, decider, reason, 1 LIMIT $top
        """,
        frozenset({"effect", "decider"}),
    ),
    "over-time": View(
        "effects in each interval of --every",
        ("account",),
        f"""
        SELECT {{by}} time_bucket(to_seconds($every), time) AS since, {_COUNTS}, count(DISTINCT account) AS accounts
        FROM chosen GROUP BY ALL ORDER BY ALL
        """,
    ),
    "quotas": View(
        "by quota: exchanges that it counted and their charge, its denials, those that it would make in shadow",
        ("account", "by", "actions", "quotas", "usage", "cost_microusd", "shadow"),
        f"""
        WITH counted AS (
            SELECT {{grouped}} account, quotas, count(*) AS times, sum(usage.input) AS input_tokens,
                sum(usage.output) AS output_tokens, sum(cost_microusd) AS cost_microusd
            FROM chosen WHERE len(quotas) > 0 GROUP BY ALL
        ), denied AS (
            SELECT {{grouped}} account, "by", count(*) AS times FROM chosen WHERE {_QUOTA_DENIED} GROUP BY ALL
        ), shadowed AS (
            SELECT {{grouped}} account, shadow.denied_by AS denied_by, count(*) AS times
            FROM chosen WHERE len(shadow.denied_by) > 0 GROUP BY ALL
        )
        SELECT {{by}} quota, {_times("what = 'counted'")} AS counted,
            count(DISTINCT account) FILTER (what = 'counted') AS accounts,
            coalesce(sum(input_tokens) FILTER (what = 'counted'), 0)::BIGINT AS input_tokens,
            coalesce(sum(output_tokens) FILTER (what = 'counted'), 0)::BIGINT AS output_tokens,
            coalesce(sum(cost_microusd) FILTER (what = 'counted'), 0)::BIGINT / 1e6 AS cost_usd,
            {_times("what = 'denied'")} AS denied,
            count(DISTINCT account) FILTER (what = 'denied') AS denied_accounts,
            {_times("what = 'shadow'")} AS would_deny,
            count(DISTINCT account) FILTER (what = 'shadow') AS would_deny_accounts
        FROM (
            SELECT {{grouped}} account, unnest(quotas) AS quota, 'counted' AS what, times, input_tokens, output_tokens,
                cost_microusd FROM counted
            UNION ALL SELECT {{grouped}} account, "by", 'denied', times, 0, 0, 0 FROM denied
            UNION ALL SELECT {{grouped}} account, unnest(denied_by), 'shadow', times, 0, 0, 0 FROM shadowed
        ) GROUP BY ALL ORDER BY denied DESC, counted DESC, quota, 1 LIMIT $top
        """,
        parts={"usage": 'STRUCT("input" BIGINT, "output" BIGINT)', "shadow": 'STRUCT("denied_by" VARCHAR[])'},
    ),
    "accounts": View(
        "the accounts with the most exchanges degraded or denied",
        ("account", "tenant", "cluster", "score"),
        f"""
        SELECT account, any_value(tenant) AS tenant, {_COUNTS}, (degraded + denied) / exchanges AS share,
            max(score) AS highest_score, max(cluster) AS campaign, min(time) AS first, max(time) AS last
        FROM chosen GROUP BY account HAVING degraded + denied > 0
        ORDER BY degraded + denied DESC, share DESC, account LIMIT $top
        """,
    ),
    "rules": View(
        "by rule: exchanges in which it fired, or in shadow only, and how many of these would stand on another rung",
        ("account", "rung", "fired", "failed", "shadow"),
        f"""
        WITH alike AS MATERIALIZED (
            SELECT {{grouped}} account, effect, rung, fired, failed, shadow.fired AS shadow_fired,
                shadow.rung AS shadow_rung, count(*) AS times
            FROM chosen WHERE len(fired) > 0 OR len(failed) > 0 OR len(shadow.fired) > 0 GROUP BY ALL
        )
        SELECT {{by}} rule, {_times("what = 'fired'")} AS fired,
            count(DISTINCT account) FILTER (what = 'fired') AS accounts,
            {_times("what = 'fired' AND effect = 'degrade'")} AS degraded,
            {_times("what = 'fired' AND effect = 'deny'")} AS denied,
            {_times("what = 'shadow'")} AS shadow_fired,
            count(DISTINCT account) FILTER (what = 'shadow') AS shadow_accounts,
            {_times("what = 'shadow' AND shadow_rung <> rung")} AS would_change_rung,
            coalesce(list_sort(list(DISTINCT shadow_rung) FILTER (what = 'shadow' AND shadow_rung <> rung)), [])
                AS would_stand_on,
            {_times("what = 'failed'")} AS could_not_tell
        FROM (
            SELECT *, unnest(fired) AS rule, 'fired' AS what FROM alike
            UNION ALL SELECT *, unnest(list_filter(shadow_fired, lambda one: NOT list_contains(fired, one))), 'shadow'
                FROM alike
            UNION ALL SELECT *, unnest(failed), 'failed' FROM alike
        ) GROUP BY ALL ORDER BY fired DESC, shadow_fired DESC, rule, 1 LIMIT $top
        """,
        frozenset({"rule"}),
    ),
    "campaigns": View(
        "by campaign: accounts seen as its members, and what was done to their exchanges",
        ("account", "tenant", "cluster"),
        f"""
        SELECT cluster AS campaign, {_COUNTS}, count(DISTINCT account) AS accounts,
            count(DISTINCT tenant) AS tenants, min(time) AS first, max(time) AS last
        FROM chosen WHERE cluster <> '' GROUP BY cluster ORDER BY exchanges DESC, campaign LIMIT $top
        """,
    ),
    "exchanges": View(
        "the exchanges themselves, the latest first",
        ("id", "account", "tenant", "model", "by", "rung", "score", "reasons", "cluster", "status", "outcome"),
        """
        SELECT time, id, account, tenant, model, effect, "by" AS decider, rung, score, reasons, cluster AS campaign,
            status, outcome
        FROM chosen ORDER BY time DESC, id LIMIT $top
        """,
    ),
    "false-positives": View(
        "by flag and campaign: how much was flagged, and what reviewers lifted, dismissed or confirmed",
        ("account", "flags", "cluster", "action", "object", "result"),
        """
        WITH said AS (
            SELECT starts_with(action, 'flags.') AS of_flag, if(of_flag, 'flag', 'campaign') AS about,
                if(of_flag, split_part(object, ' on ', 1), split_part(object, ' (', 1)) AS name,
                regexp_replace(object, ' \\([^()]*\\)$', '') AS subject,
                action IN ('flags.lift', 'campaigns.dismiss') AS withdrawn
            FROM log WHERE kind = 'admin' AND result = 'done'
                AND action IN ('flags.lift', 'flags.confirm', 'campaigns.dismiss', 'campaigns.confirm')
                AND time >= $since AND time < $until
        ), decided AS (
            SELECT about, name, count(*) FILTER (withdrawn) AS withdrawn, count(*) FILTER (NOT withdrawn) AS confirmed,
                bool_and(split_part(subject, ' ', 3) = 'account' OR NOT withdrawn) AS accounts_only
            FROM (SELECT about, name, subject, bool_or(withdrawn) AS withdrawn FROM said GROUP BY ALL) GROUP BY ALL
        ), seen AS (
            SELECT 'flag' AS about, name, count(DISTINCT account) AS accounts, count(*) AS exchanges,
                count(*) FILTER (effect <> 'allow') AS harmed
            FROM (SELECT account, effect, unnest(flags) AS name FROM chosen) GROUP BY ALL
            UNION ALL
            SELECT 'campaign', cluster, count(DISTINCT account), count(*), count(*) FILTER (effect <> 'allow')
            FROM chosen WHERE cluster <> '' GROUP BY ALL
        )
        SELECT about, name, coalesce(seen.accounts, 0) AS accounts, coalesce(seen.exchanges, 0) AS exchanges,
            coalesce(seen.harmed, 0) AS degraded_or_denied, coalesce(decided.withdrawn, 0) AS withdrawn,
            coalesce(decided.confirmed, 0) AS confirmed,
            decided.withdrawn / nullif(decided.withdrawn + decided.confirmed, 0) AS share_of_decided,
            if(about = 'flag' AND seen.accounts > 0 AND coalesce(decided.accounts_only, true),
                least(1, coalesce(decided.withdrawn, 0) / seen.accounts), NULL) AS share_of_flagged
        FROM seen FULL JOIN decided USING (about, name)
        WHERE $alone IS NULL OR (about = 'campaign' AND name = $alone)
        ORDER BY withdrawn DESC, accounts DESC, about, name LIMIT $top
        """,
    ),
}
WITHOUT_BY: Final = frozenset({"accounts", "campaigns", "exchanges", "false-positives"})
