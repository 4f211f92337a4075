--- @include "call"
--- @include "records"

-- Jobs that stand in front of a container which cannot run them are parked, so that it meets each of them once. What is
-- parked keeps its score. A container that can run it looks there as well as at the ready queue: it takes the first of
-- both.
--
--   <parked><worker>                  all of them: for counting, and for who takes without an offer
--   <parked><worker>:<type>:<model>   the same by what they need, so that an offer finds its own and no other
--
-- The timetable has a member for each worker with something parked, with a score before all times: it is read anyway.
local MARK_SCORE = -1

local function parkedKey(prefix, worker)
  return prefix .. worker
end

local function needKey(prefix, worker, jobType, model)
  return prefix .. worker .. ':' .. jobType .. ':' .. model
end

-- The keys of what is parked and inside a worker's offer. Without an offer: all.
local function offeredKeys(prefix, worker, offer)
  if not offer then return { parkedKey(prefix, worker) } end
  local keys = {}
  for _, jobType in ipairs(offer.defaultModelTypes) do keys[#keys + 1] = needKey(prefix, worker, jobType, '') end
  for _, jobType in ipairs(offer.types) do
    for _, model in ipairs(offer.models) do keys[#keys + 1] = needKey(prefix, worker, jobType, model) end
  end
  return keys
end

local function setOf(names)
  local set = {}
  for _, name in ipairs(names) do set[name] = true end
  return set
end

-- A function that says whether an offer covers a type and a model ('': none is named).
local function covering(offer)
  if not offer then return function() return true end end
  local types, defaults, models = setOf(offer.types), setOf(offer.defaultModelTypes), setOf(offer.models)
  return function(jobType, model)
    if jobType == '' then return true end
    if model == '' then return types[jobType] and defaults[jobType] or false end
    return types[jobType] and models[model] or false
  end
end

-- Takes a job that is due from where it waits. Answers 'ready', 'parked', or nil when it was in neither place.
local function removeWaiting(state, readyPrefix, parkedPrefix)
  local member = readyMember(state)
  if call('ZREM', readyPrefix .. state.worker, member, formerReadyMember(state)) > 0 then return 'ready' end
  if call('ZREM', parkedKey(parkedPrefix, state.worker), member) == 0 then return nil end
  call('ZREM', needKey(parkedPrefix, state.worker, offeredType(state), state.model or ''), member)
  return 'parked'
end
