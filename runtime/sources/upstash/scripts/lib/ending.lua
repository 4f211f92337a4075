--- @include "records"

-- Ends that no attempt has settled. They are left in the timetable for the next take of any container, which has them
-- until it has reported them or its lease time is over.

local LEASE_EXPIRED = cjson.encode({
  code = 'LEASE_EXPIRED',
  message = 'The lease ran out before the attempt ended: its worker crashed, hung or was cut off.'
})

local function expiredProblem(state, isParked)
  local message = string.format(
    'The job waited longer than its own limit of %.14g s (config.expires_in_seconds).', state.expiresIn / 1000)
  if state.expires == state.expiresAt then
    message = 'The job still waited when its own moment had come (config.expires_at).'
  end
  if isParked then
    local model = state.model and ' with the model ' .. state.model or ''
    message = message .. ' It needed the job type ' .. state.type .. model .. ', which no container offered.'
  end
  return cjson.encode({ code = 'EXPIRED', message = message })
end

local function hasExpired(state, now)
  return state.expires ~= nil and state.expires <= now
end

-- Brings a job that waits to its end. A failed one gets a mark that counts it, as one that an attempt has failed does.
local function endWaiting(state, status, now, problem)
  state.status, state.settled, state.token, state.progress = status, now, nil, nil
  state.error = problem
  if status == 'failed' then state.mark = state.worker .. ':' .. state.id .. ':expired' end
end

-- An end as `take` answers it.
local function endAnswer(job, ticket)
  local state = job.state
  return {
    state.id, state.run or 1, state.attempt, state.status, state.error or '', state.settled, ticket,
    state.type, state.user, state.priority, job.body, isEnqueued(state)
  }
end
