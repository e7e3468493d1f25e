-- Make a claim, or renew it, unless somebody else has it.
--
-- KEYS: the claim. ARGV: what it is about, who makes it, ttl_ms. Reply: 0 if it is theirs now, 1 if somebody else has it
-- and has not concluded it, 2 if it was concluded, 3 if it was made about something else.
--
-- The value is when it ends, what it is about, and who has it: nobody once it was concluded. When the store's wall clock
-- is set back, those that somebody has count as renewed at that moment: claims end late, never early.

local key = KEYS[1]
local about, holder, ttl_ms = ARGV[1], ARGV[2], tonumber(ARGV[3])

local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local found = redis.call('GET', key)
if found then
  local ends, known, by = unpack(cmsgpack.unpack(found))
  if by ~= '' and ends > now + ttl_ms then
    ends = now + ttl_ms
    redis.call('SET', key, cmsgpack.pack({ ends, known, by }), 'PX', ttl_ms + 60000)
  end
  if ends > now and by ~= holder then
    if known ~= about then
      return 3
    end
    return by == '' and 2 or 1
  end
end
-- The expiry only collects garbage: the claim has ended by then.
redis.call('SET', key, cmsgpack.pack({ now + ttl_ms, about, holder }), 'PX', ttl_ms + 60000)
return 0
