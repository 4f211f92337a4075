--- @include "call"
--- @include "records"

-- Failed jobs by worker, error code, whether the error is permanent, and type, so that who looks at a million of them
-- reads their groups. A job's record names its group; the group has its id, by arrival.
local MAX_TYPE = 64
local failing, redeemed = {}, {}

-- The group of an error report, as JSON.
local function groupOf(state, problem)
  local isRead, report = pcall(cjson.decode, problem or '')
  if not isRead or type(report) ~= 'table' then report = {} end
  local code = type(report.code) == 'string' and string.match(report.code, '^[A-Z_]+$') or 'INTERNAL'
  local permanent = report.permanent == true and 1 or 0
  return state.worker .. ':' .. code .. ':' .. permanent .. ':' .. string.sub(state.type, 1, MAX_TYPE)
end

-- Why the job failed: an error report as JSON.
local function failureOf(state)
  if state.error then return state.error end
  local attempts = state.attempts or {}
  for place = #attempts, 1, -1 do
    if attempts[place].error then return attempts[place].error end
  end
end

-- Before its record is written.
local function noteFailure(state, problem)
  state.group = groupOf(state, problem)
  failing[state.group] = failing[state.group] or {}
  table.insert(failing[state.group], state.arrived)
  table.insert(failing[state.group], state.id)
end

local function writeFailures(failuresKey, failedPrefix, moment)
  local groups = {}
  for group, entries in pairs(failing) do
    call('ZADD', failedPrefix .. group, unpack(entries))
    groups[#groups + 1] = string.format('%.0f', moment)
    groups[#groups + 1] = group
  end
  if #groups > 0 then call('ZADD', failuresKey, 'GT', unpack(groups)) end
end

-- The job has not failed any more, or is not there any more. Before its record is written.
local function forgetFailure(state)
  if not state.group then return end
  redeemed[state.group] = redeemed[state.group] or {}
  table.insert(redeemed[state.group], state.id)
  state.group = nil
end

local function removeFailures(failuresKey, failedPrefix)
  for group, ids in pairs(redeemed) do
    call('ZREM', failedPrefix .. group, unpack(ids))
    if call('EXISTS', failedPrefix .. group) == 0 then call('ZREM', failuresKey, group) end
  end
end
