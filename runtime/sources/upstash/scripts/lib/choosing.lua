--- @include "call"
--- @include "turns"

-- How many of a user's jobs are looked at for a model that the executor holds, and how many may pass over another.
local WINDOW = 32
-- How many jobs of all users are taken off a queue to find those: the jobs of one user lie far apart when many wait.
local DEPTH = 256

-- {score, turn, member, id, user, model} of a ready queue's entry. The score says when it goes now, the turn when it
-- would go if none of the user's had passed it over.
local function candidateOf(member, score)
  local id, user, turn, model = string.match(member, '^%d+:([^:]+):([^:]+):(%d+):(.*)$')
  return { score = tonumber(score), turn = tonumber(turn), member = member, id = id, user = user, model = model }
end

-- Takes the first candidates off the ready queues of all workers: one call tells that there are none at all. It is one
-- more than there are slots, so that it shows whether a queue is empty then; what is not chosen is put back. Answers
-- {worker = {entries, isEmpty}}.
local function popReady(workers)
  local keys, workerOf, count = {}, {}, 1
  for _, request in ipairs(workers) do
    keys[#keys + 1] = request.ready
    workerOf[request.ready] = request.worker
    count = math.max(count, request.slots + (#request.held > 0 and DEPTH - 1 or 1))
  end
  local popped = {}
  while #keys > 0 do
    local answer = callWith('ZMPOP', keys, 'MIN', 'COUNT', count)
    if not answer then break end
    local entries = {}
    for _, entry in ipairs(answer[2]) do entries[#entries + 1] = candidateOf(entry[1], entry[2]) end
    popped[workerOf[answer[1]]] = { entries = entries, isEmpty = #entries < count }
    for place, key in ipairs(keys) do
      if key == answer[1] then table.remove(keys, place) break end
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
