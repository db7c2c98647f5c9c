-- Notes of devices that the database has their minima now, unless these have changed since (see merge.lua, `_state`).
-- KEYS: device ids. ARGV: per key "first_access,user_declared_on" as written, 0 for none.

for spot, key in ipairs(KEYS) do
  local state = redis.call('HGET', key, '_state')
  local rest, minima = string.match(state or '', '^(.*,)(%d+,%d+),1$')
  if minima == ARGV[spot] then redis.call('HSET', key, '_state', rest .. minima .. ',0') end
end
