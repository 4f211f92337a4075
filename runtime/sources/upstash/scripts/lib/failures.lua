--- @include "call"
--- @include "records"

-- Failed jobs by worker, error code, whether the error is permanent, and type, so that who looks at a million of them
-- reads their groups. A job's record names its group; the group has its id, by arrival. Types are anybody's texts: those
-- that are no type's name, and those that are one too many, are in one group.
local MAX_GROUPS = 200
local OTHER_TYPES = '(other)'
local failing, lastFailed, surplus, redeemed = {}, {}, {}, {}

-- The group of an error report, as JSON, without its type.
local function causeOf(state, problem)
  local isRead, report = pcall(cjson.decode, problem or '')
  if not isRead or type(report) ~= 'table' then report = {} end
  local code = type(report.code) == 'string' and string.match(report.code, '^[A-Z_]+$') or 'INTERNAL'
  local permanent = report.permanent == true and 1 or 0
  return state.worker .. ':' .. code .. ':' .. permanent .. ':'
end

-- Why the job failed: an error report as JSON.
local function failureOf(state)
  if state.error then return state.error end
  local attempts = state.attempts or {}
  for place = #attempts, 1, -1 do
    if attempts[place].error then return attempts[place].error end
  end
end

-- Answers false when it is one group too many; of those of other types there are few.
local function openGroup(failuresKey, group, moment, isOther)
  if surplus[group] then return false end
  if lastFailed[group] and lastFailed[group] >= moment then return true end
  local isNew = call('ZADD', failuresKey, 'GT', string.format('%.0f', moment), group) == 1
  if isNew and not isOther and call('ZCARD', failuresKey) > MAX_GROUPS then
    call('ZREM', failuresKey, group)
    surplus[group] = true
    return false
  end
  lastFailed[group] = moment
  return true
end

-- Before its record is written.
local function noteFailure(failuresKey, state, problem, moment)
  local cause, name = causeOf(state, problem), offeredType(state)
  if name ~= '' and openGroup(failuresKey, cause .. name, moment) then
    state.group = cause .. name
  else
    state.group = cause .. OTHER_TYPES
    openGroup(failuresKey, state.group, moment, true)
  end
  failing[state.group] = failing[state.group] or {}
  table.insert(failing[state.group], state.arrived)
  table.insert(failing[state.group], state.id)
end

local function writeFailures(failedPrefix)
  for group, entries in pairs(failing) do call('ZADD', failedPrefix .. group, unpack(entries)) end
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
