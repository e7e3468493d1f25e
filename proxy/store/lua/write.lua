-- Write or delete rows of tables, all or none, and announce each in the feed.
--
-- KEYS: the feed, then each row's table (a hash). ARGV: 'new' to write only if none of the rows exists, else 'any'; then
-- for each row the table's name, the row's name, 'set' or 'delete', the value. Reply: 1, or 0 if nothing was written.
--
-- The feed is opened by an entry with a fixed id, so that "I have seen nothing" is a cursor like any other: the reader
-- looks whether the entry at its cursor is still there, and if not, the feed was trimmed, flushed or lost.

local FEED_ROWS = 10000
local feed = KEYS[1]

if ARGV[1] == 'new' then
  for i = 2, #KEYS do
    if redis.call('HEXISTS', KEYS[i], ARGV[4 * i - 5]) == 1 then
      return 0
    end
  end
end

if redis.call('EXISTS', feed) == 0 then
  redis.call('XADD', feed, '0-1', 'opened', '')
end
for i = 2, #KEYS do
  local at = 4 * i - 6
  local table_name, name = ARGV[at], ARGV[at + 1]
  if ARGV[at + 2] == 'set' then
    redis.call('HSET', KEYS[i], name, ARGV[at + 3])
  else
    redis.call('HDEL', KEYS[i], name)
  end
  redis.call('XADD', feed, 'MAXLEN', '~', FEED_ROWS, '*', table_name, name)
end
return 1
