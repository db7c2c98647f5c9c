-- Says which keys some steps of SCAN find, without those whose name no device can have. Another program's has up to 512 MB.
-- ARGV: the cursor. Returns the next one, and the names. The steps are small, and end where the names were long: meanwhile the
-- server answers nobody.
--
-- MAX_ID_BYTES, STEPS and MOST_READ_BYTES stand before this text, made by redis_scripts.py.

local cursor, names, read_bytes = ARGV[1], {}, 0
for _ = 1, STEPS do
  local found
  cursor, found = unpack(redis.call('SCAN', cursor, 'COUNT', 10))
  for _, name in ipairs(found) do
    read_bytes = read_bytes + #name
    if #name <= MAX_ID_BYTES then names[#names + 1] = name end
  end
  if cursor == '0' or read_bytes > MOST_READ_BYTES then break end
end
return {cursor, names}
