--- @include "call"
--- @include "cards"
--- @include "records"

-- Elements that producers have pushed to their plain lists. One script takes them off and files them, so that no crash
-- can lose one in between.
local FIRST_COUNT = 8
local MOST_COUNT = 512
local MOST_POPPED_BYTES = 8 * 1048576

-- Elements in the order in which they were pushed, as {worker, raw}, from all lists while they are small and few. The
-- count grows with what was found: an element may have ten megabytes.
local function popLists(lists, side, workerOf, elements)
  local count, bytes = FIRST_COUNT, 0
  while #lists > 0 and #elements < MOST_COUNT and bytes < MOST_POPPED_BYTES do
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
    count = math.min(count * 4, MOST_COUNT)
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

-- New jobs among the elements, by worker, as records that are not written yet, and the number of elements that cannot
-- be read and went to the dead letters. An id that is known, or came twice, is dropped: its producer said it again.
local function fileArrivals(elements, indexKey, deadKey, jobPrefix, now, nowUs)
  local cards, ids, indexed, dead = {}, {}, {}, {}
  for place, element in ipairs(elements) do
    -- Whatever is wrong with an element, the others have been taken off their list with it and must be filed.
    local isRead, card, reason = pcall(readCard, element.raw)
    if not isRead then card, reason = nil, 'the element cannot be read: ' .. tostring(card) end
    if not card then
      dead[#dead + 1] = cjson.encode({ worker = element.worker, reason = reason, at = now }) .. '\n' .. element.raw
    elseif not cards[card.id] then
      card.worker, card.arrived, card.body = element.worker, string.format('%.0f', nowUs + place), element.raw
      cards[card.id] = card
      ids[#ids + 1] = card.id
      indexed[#indexed + 1] = card.arrived
      indexed[#indexed + 1] = card.id
    end
  end
  if #dead > 0 then
    call('LPUSH', deadKey, unpack(dead))
    call('LTRIM', deadKey, 0, 999)
  end
  if #ids == 0 then return {}, #dead end
  local known = {}
  if call('ZADD', indexKey, 'NX', unpack(indexed)) < #ids then
    -- An id of the index whose record is gone is free again.
    known = readRecords(jobPrefix, ids)
  end
  local jobs = {}
  for _, id in ipairs(ids) do
    local card = cards[id]
    if not known[id] then
      local body = card.body
      card.body = nil
      card.status, card.attempt, card.created, card.available = 'queued', 0, now, now
      jobs[card.worker] = jobs[card.worker] or {}
      table.insert(jobs[card.worker], { state = card, body = body })
    end
  end
  return jobs, #dead
end
