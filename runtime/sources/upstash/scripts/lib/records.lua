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

-- Members of the timetable: a lease, whose name changes when a cancel is asked so that the plain renewal of it fails,
-- and a delay.
local function leaseMember(state)
  return state.worker .. ':' .. state.id .. ':' .. state.token .. (state.cancel and '!' or '')
end

local function delayMember(state)
  return state.worker .. ':' .. state.id
end

-- Member of a ready queue. Arrival comes first, because it decides between equal scores; the rest is what choosing needs
-- to know, so that it need not read the records of those that are not chosen. The score is the one that the job was given
-- first: a later one is the entry's own.
local function readyMember(state)
  return state.arrived .. ':' .. state.id .. ':' .. state.user .. ':' .. state.score .. ':' .. (state.model or '')
end
