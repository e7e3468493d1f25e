-- Note members as seen in a sliding window, and count the different ones: exactly up to SAMPLE, from a sample beyond.
-- proxy/store/distinct.py does the same step by step and says why.
--
-- KEYS: a sorted set, member -> the slot it was last seen in; a hash with what is known of the sample.
-- ARGV: window_ms, members of 8 bytes each. Reply: how many different ones the window saw.
--
-- As in window.lua, when the store's wall clock is set back, the window stands still until it has caught up, or, where
-- that takes longer than a window, goes on from where it stood.

local SAMPLE = 2048
local DEEPEST = 31
local AT_ONCE = 1000 -- arguments of one command; Lua has room for some thousand

local seen, state = KEYS[1], KEYS[2]
local window_ms = tonumber(ARGV[1])

local saved = redis.call('HMGET', state, 'newest', 'level', 'since', 'old_level')
if not saved[1] and #ARGV == 1 then
  return 0
end
local newest, level = tonumber(saved[1]) or -1, tonumber(saved[2]) or 0
local since, old_level = tonumber(saved[3]) or 0, tonumber(saved[4]) or 0
local present = math.floor(now_ms() * SLOTS / window_ms)

local function is_kept(member)
  return bit.band(struct.unpack('>I4', string.sub(member, 5)), 2 ^ level - 1) == 0
end

local function older()
  if since == 0 then
    return 0
  end
  return redis.call('ZCOUNT', seen, '-inf', '(' .. string.format('%.0f', since))
end

local function in_parts(command, arguments)
  for first = 1, #arguments, AT_ONCE do
    redis.call(command, seen, unpack(arguments, first, math.min(first + AT_ONCE - 1, #arguments)))
  end
end

local function save()
  redis.call('HSET', state, 'newest', present, 'level', level, 'since', since, 'old_level', old_level)
end

local ahead = newest - present
if ahead > SLOTS then
  local moved = {}
  local members = redis.call('ZRANGE', seen, 0, -1, 'WITHSCORES')
  for i = 1, #members, 2 do
    moved[i], moved[i + 1] = members[i + 1] - ahead, members[i]
  end
  in_parts('ZADD', moved)
  newest, since = present, math.max(since - ahead, 0)
  save()
end
present = math.max(present, newest)

if present > newest then
  redis.call('ZREMRANGEBYSCORE', seen, '-inf', '(' .. string.format('%.0f', present - SLOTS))
  local size = redis.call('ZCARD', seen)
  if size == 0 then
    level, since = 0, 0
  elseif level > 0 and size <= SAMPLE / 2 and older() == 0 then
    old_level, level, since = level, 0, present
  end
  save()
end

local fresh = {}
for i = 2, #ARGV do
  if is_kept(ARGV[i]) then
    fresh[#fresh + 1] = present
    fresh[#fresh + 1] = ARGV[i]
  end
end
in_parts('ZADD', fresh)

while redis.call('ZCARD', seen) > SAMPLE and level < DEEPEST do
  if older() == 0 or level == old_level then
    since = 0
  end
  level = level + 1
  local dropped = {}
  for _, member in ipairs(redis.call('ZRANGEBYSCORE', seen, since, '+inf')) do
    if not is_kept(member) then
      dropped[#dropped + 1] = member
    end
  end
  in_parts('ZREM', dropped)
  if level == old_level then
    since = 0
  end
  save()
end

if present > newest or ahead > SLOTS then
  keep(seen, window_ms)
  keep(state, window_ms)
end
local old = older()
return (redis.call('ZCARD', seen) - old) * 2 ^ level + old * 2 ^ old_level
