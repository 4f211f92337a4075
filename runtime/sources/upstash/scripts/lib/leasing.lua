--- @include "call"
--- @include "records"
--- @include "attempts"
--- @include "moments"
--- @include "ending"

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
  return {
    state.id, state.worker, state.token, state.run or 1, state.attempt, state.available, taken, expires, problem, job.body,
    isEnqueued(state)
  }
end

-- Leases and ends of takes whose answer was lost, by the tickets that their tokens are made from. They are answered
-- again, but for leases whose tokens are known.
local function recover(timetableKey, jobPrefix, tickets, knownTokens)
  if #tickets == 0 then return {}, {} end
  local isLost, isKnown, ids, found = {}, {}, {}, {}
  for _, ticket in ipairs(tickets) do isLost[ticket] = true end
  for _, token in ipairs(knownTokens) do isKnown[token] = true end
  local entries = call('ZRANGE', timetableKey, 0, -1, 'WITHSCORES')
  for place = 1, #entries, 2 do
    local member, expires = entries[place], momentOf(tonumber(entries[place + 1]))
    local id, token, ticket = string.match(member, '^[^:]+:([^:]+):(([^.]+)%.%d+)')
    local endedId, run, reporter = string.match(member, '^:end:([^:]+):(%d+):(.+)$')
    if ticket and isLost[ticket] and not isKnown[token] then
      ids[#ids + 1] = id
      found[id] = { member = member, expires = expires }
    elseif reporter and isLost[reporter] then
      ids[#ids + 1] = endedId
      found[endedId] = { run = tonumber(run), ticket = reporter }
    end
  end
  local leases, ends = {}, {}
  for id, job in pairs(readRecords(jobPrefix, ids)) do
    local state, lost = job.state, found[id]
    if lost.ticket and (state.run or 1) == lost.run and state.settled then
      ends[#ends + 1] = endAnswer(job, lost.ticket)
    elseif state.status == 'running' and leaseMember(state) == lost.member then
      local started = state.attempts[#state.attempts].started
      leases[#leases + 1] = leaseAnswer(job, lastProblem(state), started, lost.expires)
    end
  end
  return leases, ends
end
