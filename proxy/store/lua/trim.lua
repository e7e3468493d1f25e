-- Drop a stream's entries up to a position, so many a call that the server is not busy for long.
--
-- KEYS: the stream, its account. ARGV: the position; how many entries at most. Reply: how many were dropped.

local stream, account = KEYS[1], KEYS[2]
local found = redis.call('XRANGE', stream, '-', ARGV[1], 'COUNT', ARGV[2])
local bytes = tonumber(redis.call('HGET', account, 'bytes')) or 0
for _, entry in ipairs(found) do
  redis.call('XDEL', stream, entry[1])
  bytes = bytes - #entry[2][2]
end
if #found > 0 then
  redis.call('HSET', account, 'bytes', string.format('%.0f', math.max(bytes, 0)), 'cut', found[#found][1])
end
return #found
