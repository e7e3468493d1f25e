-- Read what a stream holds after a position, and up to where entries were dropped, both of the same moment.
--
-- KEYS: the stream, its account. ARGV: the position, empty for the beginning; how many entries at most. Reply: the id of
-- the last entry that was dropped, empty if none was; the entries.

local from = ARGV[1] == '' and '-' or '(' .. ARGV[1]
return { redis.call('HGET', KEYS[2], 'cut') or '', redis.call('XRANGE', KEYS[1], from, '+', 'COUNT', ARGV[2]) }
