-- Says which entries expire although they should not, or later than they should: another program has set their time.
-- KEYS: device ids, then the hash of tickets, which is not looked at. ARGV: the profiles' and the tombstones' time to live in ms,
-- 0 for ever. Returns 1 for each such device, else 0.

local profile_ttl, tombstone_ttl = tonumber(ARGV[1]), tonumber(ARGV[2])

local function is_foreign(key)
  local left = redis.call('PTTL', key)
  if left < 0 then return false end
  local state = redis.pcall('HGET', key, '_state')
  local live = type(state) == 'string' and select(2, string.match(state, STATE))
  if not live then return false end
  local ttl = live == '0' and tombstone_ttl or profile_ttl
  return ttl == 0 or left > ttl
end

local replies = {}
for index = 1, #KEYS - 1 do replies[index] = is_foreign(KEYS[index]) and 1 or 0 end
return replies
