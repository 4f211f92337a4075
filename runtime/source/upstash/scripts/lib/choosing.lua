--- @include "call"
--- @include "turns"

-- How many candidates are looked at for a model that the executor holds, and how many turns a job may be passed over.
local WINDOW = 32

-- {score, member, id, user, model} of a ready queue's entry.
local function candidateOf(member, score)
  local id, user, model = string.match(member, '^%d+:([^:]+):([^:]+):(.*)$')
  return { score = tonumber(score), member = member, id = id, user = user, model = model }
end

-- Takes the first candidates off the ready queues of all workers: one call tells that there are none at all. It is one
-- more than there are slots, so that it shows whether a queue is empty then; what is not chosen is put back. Answers
-- {worker = {entries, isEmpty}}.
local function popReady(workers)
  local keys, workerOf, count = {}, {}, 1
  for _, request in ipairs(workers) do
    keys[#keys + 1] = request.ready
    workerOf[request.ready] = request.worker
    count = math.max(count, request.slots + (#request.held > 0 and WINDOW - 1 or 1))
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

-- Place of the first candidate for a held model, among those of the head's user and priority that came within the next
-- turns: turns are counted and not places, so that nobody is passed over without end.
local function preferred(candidates, head, isHeld)
  local first, seen = candidates[head], 0
  for place = head, #candidates do
    local candidate = candidates[place]
    if not candidate.isChosen then seen = seen + 1 end
    if seen > WINDOW or candidate.score - first.score >= WINDOW then break end
    if not candidate.isChosen and candidate.user == first.user and isHeld[candidate.model] then return place end
  end
  return head
end

-- Splits candidates, which must be in order, into those that get one of the slots and the rest.
local function choose(candidates, slots, held)
  local isHeld, chosen, rest, head = {}, {}, {}, 1
  for _, model in ipairs(held) do isHeld[model] = true end
  while #chosen < slots and head <= #candidates do
    local place = #held > 0 and preferred(candidates, head, isHeld) or head
    candidates[place].isChosen = true
    chosen[#chosen + 1] = candidates[place]
    while head <= #candidates and candidates[head].isChosen do head = head + 1 end
  end
  for place = head, #candidates do
    if not candidates[place].isChosen then rest[#rest + 1] = candidates[place] end
  end
  return chosen, rest
end
