-- Joins states into profile hashes, as law/state.py joins them: the same law, in the server, one device at a time.
-- KEYS: device ids, in a cluster all of one slot. ARGV: create ("1" or "0"), the profiles' and the tombstones' time to
-- live in ms (0: for ever), then per key a State as one flat MessagePack array: version,
-- erased, api_last_updated_on, first_access, user_declared_on, the six facets' versions, and the values of FIELDS. Returns per key: false when it is not held and create
-- is "0"; else "" where the database needs to hear of no more than the change's facets, or "erased live updated first_access
-- user_declared_on": what is held now of the device's erase and minima, and if it was ever erased, of its live registration.
--
-- Beside the fields that readers know, a hash holds `version`, and `_state`, one text so that one read gives all of it:
-- the highest erase, the highest live registration, each facet's version (an empty one equals the highest live), then
-- api_last_updated_on, first_access, user_declared_on (also while none is declared), and 1 while the database has not
-- confirmed the minima (saved.lua makes it 0). Numbers stay below 2^53, so Lua's doubles are exact.

local FIELDS = {
  'country_code', 'country', 'state_code', 'state', 'city', 'state_custom', 'state_code_custom', 'district_custom',
  'user_declared_state', 'user_declared_district', 'devicespec', 'uaspec', 'fcm_token', 'producer',
}
local FROM, TO = {1, 9, 11, 12, 13, 14}, {8, 10, 11, 12, 13, 14} -- of each facet, in FIELDS
local DECLARED, DEVICE_SPEC, UASPEC = 2, 3, 4
local VERSIONS, VALUES = 5, 11 -- before which these stand in a State

local create, profile_ttl, tombstone_ttl = ARGV[1] == '1', tonumber(ARGV[2]), tonumber(ARGV[3])

local function text(number)
  return number == 0 and '0' or string.format('%.0f', number)
end

local function earlier(one, other)
  if one == 0 then return other end
  if other == 0 then return one end
  return math.min(one, other)
end

local STATE = '^' .. string.rep('(%d*),', 11) .. '(%d)$'

local function version_or(part, live)
  return part == '' and live or tonumber(part)
end

local function read_state(packed)
  local erased, live, a, b, c, d, e, f, updated, first, since, unsaved = string.match(packed, STATE)
  live = tonumber(live)
  return tonumber(erased), live,
    {version_or(a, live), version_or(b, live), version_or(c, live), version_or(d, live), version_or(e, live), version_or(f, live)},
    tonumber(updated), tonumber(first), tonumber(since), unsaved == '1', first, since
end

local function facet_text(version, live)
  return version == live and '' or text(version)
end

-- live_text, updated_text, first_text, since_text: as text already; making text of numbers is what takes time here.
local function pack_state(erased, live, facets, live_text, updated_text, first_text, since_text, unsaved)
  return table.concat({
    text(erased), live_text,
    facet_text(facets[1], live), facet_text(facets[2], live), facet_text(facets[3], live),
    facet_text(facets[4], live), facet_text(facets[5], live), facet_text(facets[6], live),
    updated_text, first_text, since_text, unsaved and '1' or '0',
  }, ',')
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

-- What two writes of one version leave of a facet, and whether that differs from what is held.
local function tied(key, spot, new)
  local held = redis.call('HMGET', key, unpack(FIELDS, FROM[spot], TO[spot]))
  local merged, differs, is_map = {}, false, spot == DEVICE_SPEC or spot == UASPEC
  for field = FROM[spot], TO[spot] do
    local mine, theirs = held[field - FROM[spot] + 1], new[VALUES + field]
    if mine and theirs then
      merged[VALUES + field] = is_map and (mine == theirs and mine or union(mine, theirs)) or greater(mine, theirs)
    end
    if (merged[VALUES + field] or false) ~= mine then differs = true end
  end
  return merged, differs
end

local function is_declared(key)
  local held = redis.call('HMGET', key, unpack(FIELDS, FROM[DECLARED], TO[DECLARED]))
  return (held[1] or held[2]) and true or false
end

local function write_tombstone(key, erased)
  redis.call('DEL', key)
  redis.call('HSET', key, 'version', text(erased), '_state', pack_state(erased, 0, {0, 0, 0, 0, 0, 0}, '0', '0', '0', '0', false))
  if tombstone_ttl > 0 then redis.call('PEXPIRE', key, tombstone_ttl) end
end

local function merge(key, new)
  local held = redis.pcall('HGET', key, '_state')
  if type(held) == 'table' then held = false end -- a key of another type: not ours, and no profile
  if not held and not create then return false end
  local was_erased, was_live, facets, was_updated, was_first, was_since, was_unsaved = 0, 0, {0, 0, 0, 0, 0, 0}, 0, 0, 0, false
  local first_text, since_text = '0', '0'
  if held then -- else whatever stands there was not written by us
    was_erased, was_live, facets, was_updated, was_first, was_since, was_unsaved, first_text, since_text = read_state(held)
  end
  local new_live, new_erased, new_updated = new[1], new[2], new[3]
  local erased, live, updated = math.max(was_erased, new_erased), was_live, was_updated
  if new_live > live then
    live, updated = new_live, new_updated
  elseif new_live == live then
    updated = math.max(updated, new_updated)
  end

  if live <= erased then
    if not held or was_live > 0 or was_erased < erased then write_tombstone(key, erased) end
    return new_erased == erased and new_live == 0 and '' or text(erased) .. ' 0 0 0 0'
  end

  local live_text, updated_text = text(live), text(updated)
  local set, size, clear = {'version', live_text, '_state', '', 'api_last_updated_on', updated_text}, 6, {}
  if was_live == 0 then redis.call('DEL', key) end
  local written, declared = false, nil
  for spot = 1, 6 do
    local version, values, held_version = new[VERSIONS + spot], new, facets[spot]
    local take = version > held_version and version > erased
    if version == held_version and version > erased then
      values, take = tied(key, spot, new)
    end
    if take then
      written, facets[spot] = true, version
      if spot == DECLARED then declared = (values[VALUES + 9] or values[VALUES + 10]) and true or false end
      for field = FROM[spot], TO[spot] do
        local value = values[VALUES + field]
        if value then
          set[size + 1], set[size + 2] = FIELDS[field], value
          size = size + 2
        elseif held_version > 0 then
          clear[#clear + 1] = FIELDS[field]
        end
      end
    elseif held_version > 0 and held_version <= erased then
      written, facets[spot] = true, 0
      if spot == DECLARED then declared = false end
      for field = FROM[spot], TO[spot] do clear[#clear + 1] = FIELDS[field] end
    end
  end

  local first, since = earlier(was_first, new[4]), earlier(was_since, new[5])
  if erased > 0 then
    first = (erased - erased % 1000) / 1000
    since = first
  end
  local unsaved = was_unsaved or first ~= was_first or since ~= was_since
  if written or live ~= was_live or erased ~= was_erased or updated ~= was_updated or unsaved ~= was_unsaved or not held
    or first ~= was_first or since ~= was_since then
    if first ~= was_first then first_text = text(first) end
    if since ~= was_since then since_text = text(since) end
    set[4] = pack_state(erased, live, facets, live_text, updated_text, first_text, since_text, unsaved)
    if first ~= was_first then
      set[size + 1], set[size + 2] = 'firstaccess', first_text
      size = size + 2
    end
    if since > 0 and (declared ~= nil or since ~= was_since) then
      if declared == nil then declared = facets[DECLARED] > 0 and is_declared(key) end
      if declared then
        set[size + 1], set[size + 2] = 'user_declared_on', since_text
        size = size + 2
      elseif was_since > 0 then
        clear[#clear + 1] = 'user_declared_on'
      end
    end
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
