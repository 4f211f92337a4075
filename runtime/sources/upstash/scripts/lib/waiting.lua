--- @include "choosing"

-- The candidates of one take, by worker: what was taken off the queues, what came back, what was filed. They are in
-- memory until what is not chosen is put back: to where it came from when it is inside the worker's offer and not to be
-- skipped, else to what is parked.
local function createWaiting(request, popped)
  local candidates, covers, isSkipped, requests = {}, {}, {}, {}
  local removals, returns, parkedWorkers, changed = {}, {}, {}, {}
  -- By worker and field of its turns.
  local served, parkedTurns, forgotten = {}, {}, {}
  local waiting = { changed = changed }
  for _, worker in ipairs(request.workers) do
    requests[worker.worker], covers[worker.worker] = worker, covering(worker.offer)
    isSkipped[worker.worker] = skipping(worker.skip)
  end
  for worker, found in pairs(popped) do candidates[worker] = found.entries end

  local function push(lists, key, ...)
    lists[key] = lists[key] or {}
    for _, word in ipairs({ ... }) do table.insert(lists[key], word) end
  end

  -- Members from before offers do not name the type: their records do.
  local function readTypes()
    local former, ids = {}, {}
    for worker in pairs(popped) do
      for _, candidate in ipairs(candidates[worker]) do
        if not candidate.type then
          former[#former + 1] = candidate
          ids[#ids + 1] = candidate.id
        end
      end
    end
    local jobs = readRecords(request.jobPrefix, ids)
    for _, candidate in ipairs(former) do
      local job = jobs[candidate.id]
      candidate.job, candidate.type = job, job and offeredType(job.state) or ''
      if job then candidate.member = readyMember(job.state) end
    end
  end

  -- A job that is in no queue: it came back, or is new.
  function waiting.add(job, isBack)
    local state = job.state
    candidates[state.worker] = candidates[state.worker] or {}
    if popped[state.worker] then popped[state.worker].isMixed = true end
    table.insert(candidates[state.worker], {
      score = tonumber(state.score), turn = tonumber(state.score), member = readyMember(state), id = state.id,
      user = state.user, model = state.model or '', type = offeredType(state), job = job, isBack = isBack
    })
    changed[state.id] = job
  end

  function waiting.isAny(worker)
    return candidates[worker] ~= nil
  end

  function waiting.isInside(state)
    local covered = covers[state.worker]
    if not covered then return true end
    local jobType = offeredType(state)
    return covered(jobType, state.model or '') and not isSkipped[state.worker](state.user, jobType)
  end

  local function isFromParked(worker, candidate)
    return candidate.from and candidate.from ~= request.readyPrefix .. worker
  end

  local function noteParkedTurn(worker, candidate)
    local turn = turnOf(candidate.score)
    local field = needField(priorityOf(candidate.score), candidate.type, candidate.model)
    parkedTurns[worker] = parkedTurns[worker] or {}
    parkedTurns[worker][field] = math.min(parkedTurns[worker][field] or turn, turn)
  end

  local function park(worker, candidate)
    local need = needKey(request.parkedPrefix, worker, candidate.type, candidate.model)
    push(returns, need, scoreText(candidate.score), candidate.member)
    push(returns, parkedKey(request.parkedPrefix, worker), scoreText(candidate.score), candidate.member)
    -- Whoever can run a job that comes back has not heard of it.
    parkedWorkers[worker] = parkedWorkers[worker] or candidate.isBack or false
  end

  local function putBack(worker, candidate)
    if candidate.isLookedAt and candidate.score == candidate.popped then return end
    local from = candidate.from or request.readyPrefix .. worker
    push(returns, from, scoreText(candidate.score), candidate.member)
    local all = parkedKey(request.parkedPrefix, worker)
    if isFromParked(worker, candidate) and candidate.score ~= candidate.popped then
      local need = needKey(request.parkedPrefix, worker, candidate.type, candidate.model)
      push(returns, from == all and need or all, scoreText(candidate.score), candidate.member)
    end
  end

  -- A job that is skipped waits with what is parked, so that this container meets it once and others find it. Those of
  -- its need who come are served here, in the turns of all.
  local function setAside(worker, candidate)
    if isFromParked(worker, candidate) then putBack(worker, candidate) else park(worker, candidate) end
  end

  -- Takes the chosen one out of what is parked: it was taken off one of the two places there, or only looked at.
  local function unpark(worker, candidate)
    if not isFromParked(worker, candidate) then return end
    local all = parkedKey(request.parkedPrefix, worker)
    local need = needKey(request.parkedPrefix, worker, candidate.type, candidate.model)
    push(removals, candidate.from == all and need or all, candidate.member)
    if candidate.isLookedAt then push(removals, candidate.from, candidate.member) end
  end

  local isLeft = {}

  local function noteServed(worker, field, score)
    served[worker][field] = math.max(served[worker][field] or 0, turnOf(score))
  end

  -- A need of which nothing is parked any more has no turns of its own.
  local function forgetNeeds(worker, first)
    for _, candidate in ipairs(first) do
      local isDrained = isFromParked(worker, candidate) and popped[worker].isDrained[candidate.from]
      if isDrained and not returns[candidate.from] then
        local field = needField(priorityOf(candidate.score), candidate.type, candidate.model)
        served[worker][field] = nil
        push(forgotten, worker, field)
      end
    end
  end

  function waiting.choose()
    readTypes()
    local chosen, order = {}, {}
    for _, wanted in ipairs(request.workers) do order[#order + 1] = wanted.worker end
    for worker in pairs(candidates) do
      if not requests[worker] then order[#order + 1] = worker end
    end
    for _, worker in ipairs(order) do
      local wanted, entries = requests[worker], candidates[worker] or {}
      local inside = {}
      for _, candidate in ipairs(entries) do
        if wanted and not covers[worker](candidate.type, candidate.model) then
          park(worker, candidate)
          noteParkedTurn(worker, candidate)
          isLeft[worker] = true
        elseif wanted and isSkipped[worker](candidate.user, candidate.type) then
          setAside(worker, candidate)
          isLeft[worker] = true
        else
          inside[#inside + 1] = candidate
        end
      end
      -- What was taken off one queue is in order.
      if not popped[worker] or popped[worker].isMixed then table.sort(inside, isBefore) end
      local first, rest = choose(inside, wanted and wanted.slots or 0, wanted and wanted.held or {})
      served[worker] = {}
      for _, candidate in ipairs(first) do
        chosen[#chosen + 1] = candidate
        local priority = priorityOf(candidate.score)
        noteServed(worker, tostring(priority), candidate.score)
        if isFromParked(worker, candidate) then
          noteServed(worker, needField(priority, candidate.type, candidate.model), candidate.score)
        end
        unpark(worker, candidate)
      end
      for _, candidate in ipairs(rest) do
        putBack(worker, candidate)
        isLeft[worker] = true
      end
      forgetNeeds(worker, first)
    end
    return chosen
  end

  -- A full database refuses the first write of a script when it would take room: taking away comes first.
  function waiting.takeAway()
    for key, members in pairs(removals) do call('ZREM', key, unpack(members)) end
  end

  -- Notes what has been served, or forgets the turns when nobody waits any more.
  function waiting.settleTurns(worker, isParked)
    local name, found = worker.worker, popped[worker.worker]
    if isParked and found and not isLeft[name] and call('EXISTS', parkedKey(request.parkedPrefix, name)) == 0 then
      call('ZREM', KEYS[1], parkedMember(name))
      isParked = false
    end
    if isLeft[name] or isParked or (found and not found.isEmpty) then
      advanceTurns(worker.turns, served[name] or {}, parkedTurns[name] or {})
      if forgotten[name] then call('HDEL', worker.turns, unpack(forgotten[name])) end
    elseif found then
      call('DEL', worker.turns)
    end
  end

  -- Writes what is left to its queues; the marks of what is parked go to the timetable with all else.
  function waiting.putBack(timed)
    for key, entries in pairs(returns) do call('ZADD', key, unpack(entries)) end
    for worker in pairs(parkedWorkers) do
      timed[#timed + 1] = MARK_SCORE
      timed[#timed + 1] = parkedMember(worker)
    end
  end

  function waiting.publish()
    for worker, isBack in pairs(parkedWorkers) do
      if isBack then
        call('PUBLISH', request.channel, 'jobs:' .. request.origin .. ':' .. worker .. ':0')
      end
    end
  end

  function waiting.hides()
    for _, found in pairs(popped) do
      if found.hides then return true end
    end
    return false
  end

  return waiting
end
