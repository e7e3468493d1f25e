-- Add one entry to a stream and drop the oldest ones beyond its bytes.
--
-- KEYS: the stream, its account (a hash: bytes, and the id of the last entry that was dropped), the memory of this
-- operation. ARGV: the data, how many bytes to keep. Reply: 1, or 0 if the operation was known.

local REMEMBERED_MS = 30000
local KEPT_MS = 604800000 -- garbage collection only: a week after the last entry nobody reads it any more
local DROPS = 64 -- a call; more are left to the next ones, if the bound was lowered

local stream, account, memory = KEYS[1], KEYS[2], KEYS[3]
local data, keep = ARGV[1], tonumber(ARGV[2])

if not redis.call('SET', memory, 1, 'NX', 'PX', REMEMBERED_MS) then
  return 0
end
local bytes = #data
if redis.call('EXISTS', stream) == 1 then
  bytes = bytes + (tonumber(redis.call('HGET', account, 'bytes')) or 0)
end
redis.call('XADD', stream, '*', 'd', data)
local cut
for _ = 1, DROPS do
  if bytes <= keep then
    break
  end
  local oldest = redis.call('XRANGE', stream, '-', '+', 'COUNT', 2)
  if #oldest < 2 then
    break
  end
  cut = oldest[1][1]
  redis.call('XDEL', stream, cut)
  bytes = bytes - #oldest[1][2][2]
end
redis.call('HSET', account, 'bytes', string.format('%.0f', bytes))
if cut then
  redis.call('HSET', account, 'cut', cut)
end
redis.call('PEXPIRE', stream, KEPT_MS)
redis.call('PEXPIRE', account, KEPT_MS)
return 1
