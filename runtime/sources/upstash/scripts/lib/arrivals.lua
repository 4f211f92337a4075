--- @include "call"
--- @include "cards"
--- @include "expiry"
--- @include "records"
--- @include "redriving"

-- Elements that producers have pushed to their plain lists. One script takes them off and files them, so that no crash
-- can lose one in between.
local FIRST_COUNT = 8
local MAX_COUNT = 512
local MAX_POPPED_BYTES = 8 * 1048576

-- Elements in the order in which they were pushed, as {worker, raw}, from all lists while they are small and few. The
-- count grows with what was found: an element may have ten megabytes.
local function popLists(lists, side, workerOf, elements)
  local count, bytes = FIRST_COUNT, 0
  while #lists > 0 and #elements < MAX_COUNT and bytes < MAX_POPPED_BYTES do
    local popped = callWith('LMPOP', lists, side, 'COUNT', count)
    if not popped then return end
    for _, raw in ipairs(popped[2]) do
      elements[#elements + 1] = { worker = workerOf[popped[1]], raw = raw }
      bytes = bytes + #raw
    end
    if #popped[2] < count then
      -- That list is empty now; asking for it again would cost a call.
      for place, list in ipairs(lists) do
        if list == popped[1] then table.remove(lists, place) break end
      end
    end
    count = math.min(count * 4, MAX_COUNT)
  end
end

local function popArrivals(workers)
  local sides, workerOf, elements = { LEFT = {}, RIGHT = {} }, {}, {}
  for _, request in ipairs(workers) do
    table.insert(sides[request.side], request.list)
    workerOf[request.list] = request.worker
  end
  for side, lists in pairs(sides) do
    if #lists > 0 then popLists(lists, side, workerOf, elements) end
  end
  return elements
end

local function deadLetter(element, reason, now)
  return cjson.encode({ worker = element.worker, reason = reason, at = now }) .. '\n' .. element.raw
end

-- Reads the elements. Answers their cards by id, the ids in order, repetitions of ids among them, and dead letters for
-- elements that cannot be read.
local function readCards(elements, now, nowUs)
  local cards, ids, repeats, dead = {}, {}, {}, {}
  for place, element in ipairs(elements) do
    -- Whatever is wrong with an element, the others have been taken off their list with it and must be filed.
    local isRead, card, reason = pcall(readCard, element.raw)
    if not isRead then card, reason = nil, 'the element cannot be read: ' .. tostring(card) end
    if not card then
      dead[#dead + 1] = deadLetter(element, reason, now)
    elseif cards[card.id] then
      repeats[#repeats + 1] = { id = card.id, element = element, run = card.run }
    else
      card.worker, card.arrived = element.worker, string.format('%.0f', nowUs + place)
      cards[card.id] = { state = card, element = element }
      ids[#ids + 1] = card.id
    end
  end
  return cards, ids, repeats, dead
end

-- New jobs among the elements, by worker, as records that are not written yet, with jobs that an element begins a further
-- run of; the number of elements that went to the dead letters; and the number of elements that repeat a job which is known.
-- A producer that pushes an id with another
-- body has its element among the dead letters: nothing says that it is not another job.
local function fileArrivals(elements, indexKey, deadKey, timetableKey, jobPrefix, now, nowUs)
  if #elements == 0 then return {}, 0, 0 end
  local cards, ids, repeats, dead = readCards(elements, now, nowUs)
  local indexed, known, jobs, repeated = {}, {}, {}, 0
  for _, id in ipairs(ids) do
    indexed[#indexed + 1] = cards[id].state.arrived
    indexed[#indexed + 1] = id
  end
  -- An id of the index whose record is gone is free again.
  if #ids > 0 and call('ZADD', indexKey, 'NX', unpack(indexed)) < #ids then known = readRecords(jobPrefix, ids) end
  local function file(job)
    local worker = job.state.worker
    jobs[worker] = jobs[worker] or {}
    table.insert(jobs[worker], job)
  end
  for _, id in ipairs(ids) do
    local card = cards[id]
    if known[id] then
      repeats[#repeats + 1] = { id = id, element = card.element, run = card.state.run }
    else
      local state = card.state
      state.status, state.attempt, state.created, state.available = 'queued', 0, now, now
      beginWaiting(state, now)
      file({ state = state, body = card.element.raw })
    end
  end
  for _, each in ipairs(repeats) do
    local job = known[each.id]
    -- One that was cancelled before it arrived has no turn, and of its body nothing is known.
    local isExpected = job and not job.state.score
    if isExpected or isSameRequest(each.element.raw, job and job.body or cards[each.id].element.raw) then
      -- Its producer has redriven it: that is the producer's run, and not one more.
      local isNextRun = job and job.state.status == 'failed' and (each.run or 1) > (job.state.run or 1)
      if isNextRun and job.state.worker == each.element.worker then
        beginRun(job.state, timetableKey, each.run, now)
        file(job)
      else
        repeated = repeated + 1
      end
    else
      local reason = 'the job ' .. each.id .. ' is known with another body: a new job needs an id of its own'
      dead[#dead + 1] = deadLetter(each.element, reason, now)
    end
  end
  if #dead > 0 then
    call('LPUSH', deadKey, unpack(dead))
    call('LTRIM', deadKey, 0, 999)
  end
  return jobs, #dead, repeated
end
