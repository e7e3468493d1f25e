-- Set one holder's concurrency slots in a bucket: as many as the others leave up to `most`, or what it has already if
-- that would be under `least`. Either way the holder is renewed.
--
-- KEYS: a hash, holder -> "slots expires_ms". ARGV: limit, holder, least, most, ttl_ms. Reply: mine, total.
--
-- Holders are processes, so walking over all of them is short. When the store's wall clock is set back, all count as
-- renewed at that moment: slots fall free late, never early.

local key, holder = KEYS[1], ARGV[2]
local limit, least, most, ttl_ms = tonumber(ARGV[1]), tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local mine, others, last = 0, 0, 0

local fields = redis.call('HGETALL', key)
for i = 1, #fields, 2 do
  local slots, expires = string.match(fields[i + 1], '(%d+) (%d+)')
  slots, expires = tonumber(slots), tonumber(expires)
  if expires > now + ttl_ms then
    expires = now + ttl_ms
    redis.call('HSET', key, fields[i], string.format('%.0f %.0f', slots, expires))
  end
  if expires <= now then
    redis.call('HDEL', key, fields[i])
  elseif fields[i] == holder then
    mine = slots
  else
    others = others + slots
    last = math.max(last, expires)
  end
end

local offered = math.max(math.min(most, limit - others), 0)
if offered >= least then
  mine = offered
end
if mine > 0 then
  redis.call('HSET', key, holder, string.format('%.0f %.0f', mine, now + ttl_ms))
  last = math.max(last, now + ttl_ms)
else
  redis.call('HDEL', key, holder)
end
if last > 0 then
  redis.call('PEXPIREAT', key, last + 60000) -- garbage collection only: every holder has expired by then
end
return { mine, others + mine }
