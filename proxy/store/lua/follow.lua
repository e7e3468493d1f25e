-- Read what a stream holds after a position, and up to where entries were dropped, both of the same moment.
--
-- A position beyond the last entry is another stream's: this one took its place, lost its last entries, or both, on a
-- server whose clock is behind. What it gives from now on would lie before the position too, so all of it is read.
--
-- KEYS: the stream, its account. ARGV: the position, empty for the beginning; how many entries at most. Reply: the id of
-- the last entry that was dropped, empty if none was; the entries; 1 if the position lies beyond, else 0.

local stream, account = KEYS[1], KEYS[2]
local position, most = ARGV[1], ARGV[2]

local beyond = 0
local found = redis.call('XRANGE', stream, position == '' and '-' or '(' .. position, '+', 'COUNT', most)
if position ~= '' and #found == 0 then
  local last = redis.call('XREVRANGE', stream, '+', '-', 'COUNT', 1)[1]
  if last and last[1] ~= position then
    beyond = 1
    found = redis.call('XRANGE', stream, '-', '+', 'COUNT', most)
  end
end
return { redis.call('HGET', account, 'cut') or '', found, beyond }
