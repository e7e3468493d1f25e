-- Give units back to the slot of a window that granted them (amount > 0), or charge it afterwards (amount < 0).
--
-- KEYS: the window, the memory of this operation. ARGV: window_ms, slot, amount. Reply: the change in units.

local key, memory = KEYS[1], KEYS[2]
local window_ms, slot, amount = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])

if not redis.call('SET', memory, 1, 'NX', 'PX', REMEMBERED_MS) then
  return 0
end

local window = open_window(key, window_ms, now_ms())
if slot < window.present - SLOTS then
  return 0
end
-- A slot after the present granted nothing that is known here: the store lost it when its clock ran ahead.
slot = math.min(slot, window.present)

local held = tonumber(redis.call('HGET', key, slot)) or 0
local change = math.max(-amount, -held)
change = math.min(change, MAX_UNITS - window.units)
if change ~= 0 then
  charge(key, window_ms, window, slot, held + change, change)
end
return change
