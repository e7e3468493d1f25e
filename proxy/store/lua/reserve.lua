-- Grant as many units of one window as there are up to `most`, or none if that is under `least`.
--
-- KEYS: the window, the memory of this operation. ARGV: limit, window_ms, least, most.
-- Reply: granted, slot, remaining, lease_ms, retry_after_ms, reset_ms, as in the store's protocol.

local key, memory = KEYS[1], KEYS[2]
local limit = math.min(tonumber(ARGV[1]), MAX_UNITS)
local window_ms, least, most = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])

local answered = redis.call('GET', memory)
if answered then
  return cmsgpack.unpack(answered)
end

local now = now_ms()
local window = open_window(key, window_ms, now)
local free = limit - window.units
local granted = math.min(free, most)

if granted >= least then
  local slot = window.present
  local before = tonumber(redis.call('HGET', key, slot)) or 0
  charge(key, window_ms, window, slot, before + granted, granted)
  -- `now` is cut to a whole millisecond: one is taken off so that no lease outlives its slot. After the clock was set
  -- back the slot ends far in the future; the lease is still no longer than a slot.
  local lease = math.min(math.floor((slot + 1) * window_ms / SLOTS) - now - 1, math.ceil(window_ms / SLOTS))
  local answer = {
    granted, slot, free - granted, math.max(lease, 0), 0, begins(slot + SLOTS + 1, window_ms) - now
  }
  redis.call('SET', memory, cmsgpack.pack(answer), 'PX', REMEMBERED_MS)
  return answer
end

local slots, newest = {}, window.oldest
local fields = redis.call('HGETALL', key)
for i = 1, #fields, 2 do
  local slot, units = tonumber(fields[i]), tonumber(fields[i + 1])
  if slot and units > 0 then
    slots[slot] = units
    newest = math.max(newest, slot)
  end
end

local retry_after = -1
if least <= limit then
  local slot = window.oldest - 1
  while free < least and slot < newest do
    slot = slot + 1
    free = free + (slots[slot] or 0)
  end
  retry_after = begins(slot + SLOTS + 1, window_ms) - now
end
local reset = 0
if window.units > 0 then
  reset = begins(newest + SLOTS + 1, window_ms) - now
end
return { 0, window.present, math.max(limit - window.units, 0), 0, retry_after, reset }
