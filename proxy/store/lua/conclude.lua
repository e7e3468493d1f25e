-- Conclude a claim: keep it as done for a time, or let it go; one that somebody else has by now stays as it is.
--
-- KEYS: the claim. ARGV: what it is about, who made it, kept_ms (0: let it go). Reply: 1, or 0 if somebody else has it.

local key = KEYS[1]
local about, holder, kept_ms = ARGV[1], ARGV[2], tonumber(ARGV[3])

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local found = redis.call('GET', key)
if found then
  local ends, _, by = unpack(cmsgpack.unpack(found))
  if ends > now and by ~= holder then
    return 0
  end
end
if kept_ms > 0 then
  -- As in claim.lua, the expiry only collects garbage.
  redis.call('SET', key, cmsgpack.pack({ now + kept_ms, about, '' }), 'PX', kept_ms + 60000)
else
  redis.call('DEL', key)
end
return 1
