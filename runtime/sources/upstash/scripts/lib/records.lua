--- @include "call"

-- A job's record is one string: its state as JSON, a line feed, and its body as the producer wrote it. The body is
-- never parsed and written again here: cjson would turn empty lists into objects and shorten long numbers.
local function parseRecord(text)
  if not text then return nil end
  local stop = string.find(text, '\n', 1, true)
  return { state = cjson.decode(string.sub(text, 1, stop - 1)), body = string.sub(text, stop + 1) }
end

local function formatRecord(job)
  return cjson.encode(job.state) .. '\n' .. job.body
end

-- 1 for a job that a container or the command has enqueued, with its digest; 0 for one that came over its producer's list.
local function isEnqueued(state)
  return state.digest and 1 or 0
end

-- How far the delivery of a job has come that was worked off, as JSON; nil for any other. The note belongs to the lease
-- under which it was written.
local function deliveryOf(state)
  if state.status == 'running' and state.delivery and state.delivery.token == state.token then
    return state.delivery.note
  end
end

-- The records of these ids by id, in one call. What is not there is absent.
local function readRecords(jobPrefix, ids)
  local jobs = {}
  if #ids == 0 then return jobs end
  local keys = {}
  for place, id in ipairs(ids) do keys[place] = jobPrefix .. id end
  for place, text in ipairs(call('MGET', unpack(keys))) do
    jobs[ids[place]] = parseRecord(text)
  end
  return jobs
end

-- Members of the timetable: a lease, whose name changes when a cancel is requested so that the plain renewal of it fails,
-- a delay, and what begins with a colon: the moment from which a job that still waits expires, an end that no container
-- has reported (with the ticket of the call that has it, while one does), and that jobs of a worker are parked.
local function leaseMember(state)
  return state.worker .. ':' .. state.id .. ':' .. state.token .. (state.cancel and '!' or '')
end

local function delayMember(state)
  return state.worker .. ':' .. state.id
end

local function expiryMember(state)
  return ':expiry:' .. state.id
end

local function endMember(state, ticket)
  return ':end:' .. state.id .. ':' .. (state.run or 1) .. (ticket and ':' .. ticket or '')
end

local function parkedMember(worker)
  return ':parked:' .. worker
end

-- The job type as far as it decides who can run the job. One that is no type's name is in no offer: whoever takes the
-- job rejects it, so that any container may.
local function offeredType(state)
  return #state.type <= 64 and string.find(state.type, '^[a-z0-9][a-z0-9_]*$') and state.type or ''
end

-- Member of a ready queue, and of what is parked. Arrival comes first, because it decides between equal scores; the rest
-- is what choosing needs to know, so that it need not read the records of those that are not chosen. The score is the
-- one that the job was given first: a later one is the entry's own.
local function readyMember(state)
  return state.arrived .. ':' .. state.id .. ':' .. state.user .. ':' .. state.score .. ':' .. (state.model or '')
    .. ':' .. offeredType(state)
end

-- As it was written before offers, without the type: it may be on a queue that was not empty at the upgrade.
local function formerReadyMember(state)
  return state.arrived .. ':' .. state.id .. ':' .. state.user .. ':' .. state.score .. ':' .. (state.model or '')
end
