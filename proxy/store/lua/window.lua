-- A sliding window in a hash: what reserve.lua and credit.lua share, put before each of them when it is loaded; note.lua
-- takes its slots and its time from here.
--
-- The window W is counted in SLOTS slots; slot i begins at i * W / SLOTS and is live until it is wholly older than W,
-- so SLOTS + 1 slots are live at a time. Fields of the hash: `units` of all live slots together, `oldest` slot that may
-- still have a field, `newest` slot ever charged, and one field per charged slot with its units.
--
-- The store's wall clock may be set back, and a failover may lead to a server whose clock is behind. The window then
-- stands still at its newest slot until the clock has caught up, or, where that takes longer than a window, begins anew
-- with all its units in the present slot: they come back late by a window at most, never early, and a slot's units never
-- turn negative.

local SLOTS = 60
local MAX_UNITS = 9007199254740991 -- 2^53 - 1, up to where a double counts exactly
local REMEMBERED_MS = 30000

local function now_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- Return the first whole millisecond in which `slot` has begun.
local function begins(slot, window_ms)
  return math.ceil(slot * window_ms / SLOTS)
end

-- Say of a window's key that it may go once every slot has long left; garbage collection only.
local function keep(key, window_ms)
  redis.call('PEXPIRE', key, 2 * window_ms + 60000)
end

-- Return the window as it is at `now`. A slot that left is taken out once in its life, so an ask costs no walk over
-- the slots; after a silence of a whole window the hash is dropped in one go.
local function open_window(key, window_ms, now)
  local present = math.floor(now * SLOTS / window_ms)
  local saved = redis.call('HMGET', key, 'units', 'oldest', 'newest')
  if not saved[1] then
    return { units = 0, oldest = present, newest = -1, present = present }
  end
  local window = { units = tonumber(saved[1]), oldest = tonumber(saved[2]), newest = tonumber(saved[3]) }
  if window.newest - present > SLOTS then
    redis.call('DEL', key)
    redis.call('HSET', key, present, window.units, 'units', window.units, 'oldest', present, 'newest', present)
    keep(key, window_ms)
    window.oldest, window.newest = present, present
  end
  window.present = math.max(present, window.newest)
  local first = window.present - SLOTS
  if window.newest < first then
    redis.call('DEL', key)
    return { units = 0, oldest = present, newest = -1, present = present }
  end
  if window.oldest < first then
    local left = {}
    for slot = window.oldest, first - 1 do
      left[#left + 1] = slot
    end
    for _, units in ipairs(redis.call('HMGET', key, unpack(left))) do
      window.units = window.units - (tonumber(units) or 0)
    end
    redis.call('HDEL', key, unpack(left))
    redis.call('HSET', key, 'units', window.units, 'oldest', first)
    window.oldest = first
  end
  return window
end

-- Set the units of one live slot, `change` more than before. The expiry is renewed once a slot, not once a call.
local function charge(key, window_ms, window, slot, units, change)
  window.units = window.units + change
  if window.newest >= slot and window.oldest <= slot then
    redis.call('HSET', key, slot, units, 'units', window.units)
    return
  end
  window.newest = math.max(window.newest, slot)
  window.oldest = math.min(window.oldest, slot)
  redis.call('HSET', key, slot, units, 'units', window.units, 'oldest', window.oldest, 'newest', window.newest)
  keep(key, window_ms)
end
