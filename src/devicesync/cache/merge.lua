-- Joins states into profile hashes, as law/state.py joins them: the same law, in the server, one device at a time.
-- KEYS: device ids, in a cluster all of one slot. ARGV: create ("1" or "0"), the profiles' and the tombstones' time to
-- live in ms (0: for ever), then per key a State as MessagePack. Returns per key: false when it is not held and create
-- is "0"; else "" where the database needs to hear of no more than the change's facets, or "erased live updated first_access
-- user_declared_on": what is held now of the device's erase and minima, and if it was ever erased, of its live registration.
-- Minima that the database has not confirmed yet are marked `_unsaved` (saved.lua takes the mark away).
--
-- Beside the fields that readers know, a hash holds `version`, and `_versions`: the highest erase, the highest live
-- registration and each facet's version, where an empty one equals the highest live. Numbers stay below 2^53, so Lua's
-- doubles are exact.

local FACETS = {
  {'country_code', 'country', 'state_code', 'state', 'city', 'state_custom', 'state_code_custom', 'district_custom'},
  {'user_declared_state', 'user_declared_district'},
  {'devicespec'},
  {'uaspec'},
  {'fcm_token'},
  {'producer'},
}
local DECLARED, IS_MAP = 2, {false, false, true, true, false, false}

local create, profile_ttl, tombstone_ttl = ARGV[1] == '1', tonumber(ARGV[2]), tonumber(ARGV[3])

local function text(number)
  return string.format('%.0f', number)
end

local function earlier(one, other)
  if one == 0 then return other end
  if other == 0 then return one end
  return math.min(one, other)
end

local function read_versions(packed)
  local numbers = {}
  for part in string.gmatch(packed, '([^,]*),') do
    numbers[#numbers + 1] = part
  end
  local live = tonumber(numbers[2])
  local facets = {}
  for spot = 1, #FACETS do
    local part = numbers[spot + 2]
    facets[spot] = part == '' and live or tonumber(part)
  end
  return tonumber(numbers[1]), live, facets
end

local function pack_versions(erased, live, facets)
  local packed = text(erased) .. ',' .. text(live) .. ','
  for spot = 1, #FACETS do
    packed = packed .. (facets[spot] == live and '' or text(facets[spot])) .. ','
  end
  return packed
end

-- Text compares by locale in Lua's <; the law compares UTF-8 bytes.
local function greater(one, other)
  for spot = 1, math.min(#one, #other) do
    local a, b = string.byte(one, spot), string.byte(other, spot)
    if a ~= b then return a > b and one or other end
  end
  return #one >= #other and one or other
end

-- Unions two maps given as canonical JSON text. cjson neither sorts keys nor writes UTF-8 as we do, so the text is cut
-- into its entries, which are sorted already, and put together again.
local function entries(map)
  local found, order, position = {}, {}, 2
  local function string_at(start)
    local finish = start + 1
    while true do
      local char = string.sub(map, finish, finish)
      if char == '\\' then
        finish = finish + 2
      elseif char == '"' then
        return string.sub(map, start, finish), finish + 1
      else
        finish = finish + 1
      end
    end
  end
  while string.sub(map, position, position) == '"' do
    local key, value
    key, position = string_at(position)
    value, position = string_at(position + 1)
    found[key] = value
    order[#order + 1] = key
    position = position + 1
  end
  return found, order
end

local function decoded(json)
  return cjson.decode('[' .. json .. ']')[1]
end

local function union(one, other)
  local mine, order = entries(one)
  local theirs, more = entries(other)
  for _, key in ipairs(more) do
    if mine[key] == nil then
      mine[key] = theirs[key]
      order[#order + 1] = key
    elseif mine[key] ~= theirs[key] then
      local high = greater(decoded(mine[key]), decoded(theirs[key]))
      if high ~= decoded(mine[key]) then mine[key] = theirs[key] end
    end
  end
  table.sort(order, function(a, b)
    local x, y = decoded(a), decoded(b)
    return x ~= y and greater(x, y) == y
  end)
  local parts = {}
  for spot, key in ipairs(order) do
    parts[spot] = key .. ':' .. mine[key]
  end
  return '{' .. table.concat(parts, ',') .. '}'
end

-- What two writes of one version leave, and whether that differs from what is held.
local function tied(key, spot, values)
  local held = redis.call('HMGET', key, unpack(FACETS[spot]))
  local merged, differs = {}, false
  for field = 1, #FACETS[spot] do
    local mine, theirs = held[field], values[field]
    if mine and theirs then
      merged[field] = IS_MAP[spot] and (mine == theirs and mine or union(mine, theirs)) or greater(mine, theirs)
    end
    if (merged[field] or false) ~= mine then differs = true end
  end
  return merged, differs
end

local function write_tombstone(key, erased)
  redis.call('DEL', key)
  redis.call('HSET', key, 'version', text(erased), '_versions', pack_versions(erased, 0, {0, 0, 0, 0, 0, 0}))
  if tombstone_ttl > 0 then redis.call('PEXPIRE', key, tombstone_ttl) end
end

local function merge(key, new)
  local head = redis.call('HMGET', key, '_versions', 'api_last_updated_on', 'firstaccess', 'user_declared_on', '_user_declared_on', '_unsaved')
  local erased, live, facets = 0, 0, {0, 0, 0, 0, 0, 0}
  if head[1] then
    erased, live, facets = read_versions(head[1])
  elseif not create then
    return false
  else
    head = {} -- whatever stands there was not written by us
  end
  local new_live, new_erased, new_updated, new_first, new_declared = new[1], new[2], new[3], new[4], new[5]
  local was_erased, was_live = erased, live
  erased = math.max(erased, new_erased)
  local updated = tonumber(head[1] and head[2] or 0)
  if new_live > live then
    live, updated = new_live, new_updated
  elseif new_live == live then
    updated = math.max(updated, new_updated)
  end

  if live <= erased then
    if not head[1] or was_live > 0 or was_erased < erased then write_tombstone(key, erased) end
    return new_erased == erased and new_live == 0 and '' or text(erased) .. ' 0 0 0 0'
  end

  local set, clear, changed = {}, {}, not head[1] or was_live ~= live or was_erased ~= erased
  local function put(field, value)
    set[#set + 1] = field
    set[#set + 1] = value
  end
  if was_live == 0 then redis.call('DEL', key) end
  local declared = false
  for spot, fields in ipairs(FACETS) do
    local version, values = new[6][spot][1], new[6][spot][2]
    local held = facets[spot]
    local take = version > held and version > erased
    if version == held and version > erased then
      values, take = tied(key, spot, values)
    end
    if take then
      changed, facets[spot] = true, version
      for field, name in ipairs(fields) do
        if values[field] then
          put(name, values[field])
          if spot == DECLARED then declared = true end
        else
          clear[#clear + 1] = name
        end
      end
    elseif held > 0 and held <= erased then
      changed, facets[spot] = true, 0
      for _, name in ipairs(fields) do clear[#clear + 1] = name end
    elseif spot == DECLARED and held > 0 then
      declared = (head[4] or redis.call('HEXISTS', key, fields[1]) == 1 or redis.call('HEXISTS', key, fields[2]) == 1) and true or false
    end
  end

  local was_first, was_since = tonumber(head[3] or 0), tonumber(head[4] or head[5] or 0)
  local first, since = earlier(was_first, new_first), earlier(was_since, new_declared)
  if erased > 0 then
    first = (erased - erased % 1000) / 1000
    since = first
  end
  if first > 0 and text(first) ~= head[3] then put('firstaccess', text(first)) changed = true end
  local shown, hidden = declared and since > 0, not declared and since > 0 and erased == 0
  if shown and text(since) ~= head[4] then put('user_declared_on', text(since)) changed = true end
  if not shown and head[4] then clear[#clear + 1] = 'user_declared_on' changed = true end
  if hidden and text(since) ~= head[5] then put('_user_declared_on', text(since)) changed = true end
  if not hidden and head[5] then clear[#clear + 1] = '_user_declared_on' changed = true end
  if text(updated) ~= head[2] then changed = true end
  local unsaved = head[6] or first ~= was_first or since ~= was_since
  if unsaved and not head[6] then put('_unsaved', '1') changed = true end

  if changed then
    put('api_last_updated_on', text(updated))
    put('version', text(live))
    put('_versions', pack_versions(erased, live, facets))
    if #clear > 0 then redis.call('HDEL', key, unpack(clear)) end
    redis.call('HSET', key, unpack(set))
    if profile_ttl > 0 then redis.call('PEXPIRE', key, profile_ttl) end
  end
  if erased == 0 then
    if not unsaved then return '' end
    live, updated = 0, 0
  end
  return table.concat({text(erased), text(live), text(updated), text(first), text(since)}, ' ')
end

local replies = {}
for spot, key in ipairs(KEYS) do
  replies[spot] = merge(key, cmsgpack.unpack(ARGV[spot + 3]))
end
return replies
