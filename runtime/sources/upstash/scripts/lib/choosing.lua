--- @include "call"
--- @include "turns"
--- @include "parking"

-- How many of a user's jobs are looked at for a model that the executor holds, and how many may pass over another.
local WINDOW = 32
-- How many jobs of all users are taken off a queue to find those: the jobs of one user lie far apart when many wait.
local DEPTH = 256

-- How many jobs outside of a worker's offer are taken off its ready queue to find those inside.
local PARKED_AT_ONCE = 512

-- How many parked jobs a call looks at, of whom it skips, for one of somebody else's. They stay where they are.
local LOOKED_AT = 4096
local LOOKED_AT_ONCE = 512

-- {score, turn, member, id, user, model, type, from} of an entry of the ready queue or of what is parked. The score says
-- when it goes now, the turn when it would go if none of the user's had passed it over. The type is nil in members from
-- before offers.
local function candidateOf(member, score, from)
  local id, user, turn, model, rest = string.match(member, '^%d+:([^:]+):([^:]+):(%d+):([^:]*)(.*)$')
  return {
    score = tonumber(score), popped = tonumber(score), turn = tonumber(turn), member = member, id = id, user = user,
    model = model, type = rest ~= '' and string.sub(rest, 2) or nil, from = from
  }
end

-- A function that says whether a user's jobs of a type are to be skipped.
local function skipping(skip)
  local set = {}
  for _, each in ipairs(skip or {}) do set[each.user .. ':' .. each.type] = true end
  return function(user, jobType) return set[user .. ':' .. jobType] or false end
end

-- Takes entries off one queue into `found.entries`. Answers how many are inside the offer and not to be skipped, and
-- whether it was as many as were asked for: then there may be more.
local function collect(found, entries, key, count)
  local inside = 0
  for _, entry in ipairs(entries) do
    local candidate = candidateOf(entry[1], entry[2], key)
    found.entries[#found.entries + 1] = candidate
    if not candidate.type or found.isWanted(candidate) then inside = inside + 1 end
  end
  return inside, #entries == count
end

-- Takes more off a ready queue whose first jobs are outside of the offer, so that they do not hide those behind them.
local function popBehind(found, request, inside, isFull)
  local seen = #found.entries
  while isFull and inside < request.slots and seen < PARKED_AT_ONCE do
    local count = PARKED_AT_ONCE - seen
    local answer = callWith('ZMPOP', { request.ready }, 'MIN', 'COUNT', count)
    if not answer then
      isFull = false
      break
    end
    local more
    more, isFull = collect(found, answer[2], request.ready, count)
    inside, seen = inside + more, seen + #answer[2]
  end
  found.isEmpty = not isFull
  found.hides = isFull and inside < request.slots
end

-- Looks on in what is parked, where the first are to be skipped: what one user has parked must not hide the others'.
local function lookBehind(found, request, key, inside)
  local from = 0
  while inside < request.slots and found.looked < LOOKED_AT do
    local entries = call('ZRANGE', key, from, from + LOOKED_AT_ONCE - 1, 'WITHSCORES')
    for place = 1, #entries, 2 do
      local candidate = candidateOf(entries[place], entries[place + 1], key)
      if inside < request.slots and candidate.type and found.isWanted(candidate) then
        candidate.isLookedAt = true
        found.entries[#found.entries + 1] = candidate
        inside = inside + 1
      end
    end
    if #entries < 2 * LOOKED_AT_ONCE then return end
    from, found.looked = from + LOOKED_AT_ONCE, found.looked + LOOKED_AT_ONCE
  end
end

local function createFound(request)
  local covers, isSkipped = covering(request.offer), skipping(request.skip)
  return {
    entries = {}, isEmpty = true, hides = false, isDrained = {}, looked = 0,
    isWanted = function(candidate)
      return covers(candidate.type, candidate.model) and not isSkipped(candidate.user, candidate.type)
    end
  }
end

-- Takes the first candidates off the ready queues of all workers, and off what is parked and inside their offers: one
-- call tells that there are none at all. The ready queues come last: who finds one full knows that nothing is parked.
-- It is one more than there are slots, so that it shows whether a queue is empty then; what is not chosen is put back.
-- Answers {worker = {entries, isEmpty (the ready queue is, now), hides (there may be jobs behind those outside)}}.
local function popReady(workers, parkedPrefix)
  local keys, requestOf, count = {}, {}, 1
  local open = {}
  for _, request in ipairs(workers) do
    if not request.isPaused then open[#open + 1] = request end
  end
  for _, request in ipairs(open) do
    for _, key in ipairs(offeredKeys(parkedPrefix, request.worker, request.offer)) do
      keys[#keys + 1] = key
      requestOf[key] = request
    end
    count = math.max(count, request.slots + (#request.held > 0 and DEPTH - 1 or 1))
  end
  for _, request in ipairs(open) do
    keys[#keys + 1] = request.ready
    requestOf[request.ready] = request
  end
  local popped, place = {}, 1
  while place <= #keys do
    local answer = callWith('ZMPOP', { unpack(keys, place) }, 'MIN', 'COUNT', count)
    if not answer then break end
    local key, request = answer[1], requestOf[answer[1]]
    -- Those before it are empty.
    while keys[place] ~= key do place = place + 1 end
    place = place + 1
    popped[request.worker] = popped[request.worker] or createFound(request)
    local found = popped[request.worker]
    -- The ready queue comes after what is parked: then the entries are not in order.
    found.isMixed = #found.entries > 0
    local inside, isFull = collect(found, answer[2], key, count)
    if key == request.ready then
      popBehind(found, request, inside, isFull)
    else
      found.isDrained[key] = not isFull
      if isFull and request.skip then lookBehind(found, request, key, inside) end
    end
  end
  return popped
end

local function isBefore(one, other)
  if one.score ~= other.score then return one.score < other.score end
  return one.member < other.member
end

-- Place of the candidate that goes in the first one's turn: the first of the same user and priority for a held model.
-- Turns are compared as they were given, so that nobody is passed over without end.
local function preferred(candidates, isHeld)
  local first = candidates[1]
  for place, candidate in ipairs(candidates) do
    if candidate.user == first.user then
      if candidate.turn - first.turn >= WINDOW then break end
      if isHeld[candidate.model] then return place end
    end
  end
  return 1
end

-- Takes a candidate out. It goes in the turn of its user's first one, and those of the user that it passes over move on
-- by one of the user's turns each: what one user's jobs do among themselves takes nothing from the others.
local function takeOut(candidates, place)
  local chosen = table.remove(candidates, place)
  for before = place - 1, 1, -1 do
    local passed = candidates[before]
    if passed.user == chosen.user then passed.score, chosen.score = chosen.score, passed.score end
  end
  return chosen
end

-- Splits candidates, which must be in order, into those that get one of the slots and the rest, in any order.
local function choose(candidates, slots, held)
  local chosen, isHeld = {}, {}
  if #held == 0 then
    local rest = {}
    for place, candidate in ipairs(candidates) do table.insert(place <= slots and chosen or rest, candidate) end
    return chosen, rest
  end
  for _, model in ipairs(held) do isHeld[model] = true end
  while #chosen < slots and #candidates > 0 do
    local place = preferred(candidates, isHeld)
    chosen[#chosen + 1] = takeOut(candidates, place)
    if place > 1 and #chosen < slots then table.sort(candidates, isBefore) end
  end
  return chosen, candidates
end
