--- @include "call"
--- @include "records"
--- @include "attempts"
--- @include "moments"

-- Why the last attempt that ended with an error did: an error report as JSON, or empty.
local function lastProblem(state)
  local attempts = state.attempts or {}
  for place = #attempts, 1, -1 do
    if attempts[place].error then return attempts[place].error end
  end
  return ''
end

-- A lease as `take` answers it.
local function leaseAnswer(job, problem, taken, expires)
  local state = job.state
  return { state.id, state.worker, state.token, state.attempt, state.available, taken, expires, problem, job.body }
end

-- Leases of takes whose answer was lost, by the tickets that their tokens are made from. They are answered again, but
-- for those whose tokens are known.
local function recoverLeases(timetableKey, jobPrefix, tickets, knownTokens)
  if #tickets == 0 then return {} end
  local isLost, isKnown, ids, found = {}, {}, {}, {}
  for _, ticket in ipairs(tickets) do isLost[ticket] = true end
  for _, token in ipairs(knownTokens) do isKnown[token] = true end
  local entries = call('ZRANGE', timetableKey, 0, -1, 'WITHSCORES')
  for place = 1, #entries, 2 do
    local id, token, ticket = string.match(entries[place], '^[^:]+:([^:]+):(([^.]+)%.%d+)')
    if ticket and isLost[ticket] and not isKnown[token] then
      ids[#ids + 1] = id
      found[id] = { member = entries[place], expires = momentOf(tonumber(entries[place + 1])) }
    end
  end
  local answers = {}
  for id, job in pairs(readRecords(jobPrefix, ids)) do
    local state = job.state
    if state.status == 'running' and leaseMember(state) == found[id].member then
      local started = state.attempts[#state.attempts].started
      answers[#answers + 1] = leaseAnswer(job, lastProblem(state), started, found[id].expires)
    end
  end
  return answers
end
