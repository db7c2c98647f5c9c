-- Takes the mark `_unsaved` away from devices whose minima the database has now, unless they have changed since.
-- KEYS: device ids. ARGV: per key "first_access user_declared_on" as written, 0 for none.

for spot, key in ipairs(KEYS) do
  local held = redis.call('HMGET', key, 'firstaccess', 'user_declared_on', '_user_declared_on')
  if (held[1] or '0') .. ' ' .. (held[2] or held[3] or '0') == ARGV[spot] then redis.call('HDEL', key, '_unsaved') end
end
