-- Write or delete rows of tables, all or none, and announce each in the feed.
--
-- KEYS: the feed, then each row's table (a hash). ARGV: 'new' to write only if none of the rows exists, else 'any'; then
-- for each row the table's name, the row's name, 'set' or 'delete', the value; or, instead of one to be written, 'given'
-- or 'absent' for one that is to have that value, or none, for anything to be written. Reply: 1, or 0 if nothing was.
--
-- The feed is opened by an entry with a fixed id, so that "I have seen nothing" is a cursor like any other: the reader
-- looks whether the entry at its cursor is still there, and if not, the feed was trimmed, flushed or lost.

local FEED_ROWS = 10000
local EXPECTED = { given = true, absent = true }
local feed = KEYS[1]

for i = 2, #KEYS do
  local at = 4 * i - 6
  local verb = ARGV[at + 2]
  local found = (ARGV[1] == 'new' or EXPECTED[verb]) and redis.call('HGET', KEYS[i], ARGV[at + 1])
  if verb == 'given' and found ~= ARGV[at + 3] or verb ~= 'given' and found then
    return 0
  end
end

if redis.call('EXISTS', feed) == 0 then
  redis.call('XADD', feed, '0-1', 'opened', '')
end
for i = 2, #KEYS do
  local at = 4 * i - 6
  local table_name, name = ARGV[at], ARGV[at + 1]
  if not EXPECTED[ARGV[at + 2]] then
    if ARGV[at + 2] == 'set' then
      redis.call('HSET', KEYS[i], name, ARGV[at + 3])
    else
      redis.call('HDEL', KEYS[i], name)
    end
    redis.call('XADD', feed, 'MAXLEN', '~', FEED_ROWS, '*', table_name, name)
  end
end
return 1
