--- @include "expiry"

-- What the queue itself must know of an element that a producer pushed: its job's id, and what decides its place. The
-- element is kept as it is; what it means is decided by the contract's decodeElement when it is taken. An element that
-- decodeElement reads is never refused here.
local MAX_BYTES = 3 * 1048576
local MAX_WRAPPERS = 6
local MAX_EXPIRY_SECONDS = 30 * 24 * 60 * 60
local MAX_SAFE_INTEGER = 2 ^ 53 - 1
local MAX_RUN = 1000000

-- Names that older producers send, and what they are called now (`currentJobType` of the contract).
local RENAMED_TYPES = { wan_video_fast = 'video_fast', wan_video_high = 'video_high' }

-- Names of the fields at the top of a job, the present one first; the first that is given wins (decode.ts of the contract).
local DIALECTS = {
  { 'id', 'jobId', 'job_id' }, { 'type', 'jobType', 'job_type' }, { 'user_id', 'userId' },
  { 'negative_prompt', 'negativePrompt' }, { 'created_at', 'createdAt' }, { 'model_variant', 'modelVariant' },
  { 'image_id', 'imageId' }, { 'video_id', 'videoId' }, { 'character_id', 'characterId' },
  { 'compel_enabled', 'compelEnabled' }, { 'compel_weights', 'compelWeights' },
  { 'reference_image_url', 'referenceImageUrl' }
}

local function given(value)
  return value ~= nil and value ~= cjson.null
end

local function firstGiven(object, names)
  for _, name in ipairs(names) do
    if given(object[name]) then return object[name] end
  end
end

local function typeOf(object)
  return firstGiven(object, { 'type', 'jobType', 'job_type' })
end

local function parseJson(text)
  text = string.gsub(text, '^\239\187\191', '')
  local isJson, value = pcall(cjson.decode, text)
  if isJson then return true, value end
  -- A text that was cut within an emoji has half of a surrogate pair, which JavaScript reads and cjson refuses.
  -- Pairs of backslashes are set aside meanwhile: what follows them is no escape.
  text = string.gsub(text, '\\\\', '\1')
  text = string.gsub(text, '\\u[dD][89a-fA-F]%x%x', '?')
  text = string.gsub(text, '\1', '\\\\')
  return pcall(cjson.decode, text)
end

-- The object that is the job, or nil and the reason.
local function unwrap(value)
  for _ = 0, MAX_WRAPPERS do
    if type(value) == 'string' then
      local isJson, inner = parseJson(value)
      if not isJson then return nil, 'the element is not JSON' end
      value = inner
    elseif type(value) ~= 'table' then
      return nil, 'the element is not a job'
    elseif value[1] ~= nil then
      if value[2] ~= nil then return nil, 'the element is a list of more than one entry' end
      value = value[1]
    elseif (type(value.data) == 'table' or type(value.data) == 'string') and not given(typeOf(value)) then
      value = value.data
    else
      return value
    end
  end
  return nil, 'the element is wrapped more than ' .. MAX_WRAPPERS .. ' times'
end

-- A number as it is meant for an id: its digits. Numbers that a double does not hold exactly stay numbers.
local function idText(value)
  if type(value) ~= 'number' or value ~= math.floor(value) or math.abs(value) > MAX_SAFE_INTEGER then return value end
  return string.format('%.0f', value)
end

local function isSafeId(value)
  return type(value) == 'string' and #value <= 128 and string.find(value, '^[%w][%w_-]*$') ~= nil
end

local function isPriority(value)
  return type(value) == 'number' and value >= -100 and value <= 100 and value == math.floor(value)
end

local function isModelName(value)
  return type(value) == 'string' and #value <= 100 and string.find(value, '^[%w][%w._-]*$') ~= nil
end

-- Which run the element begins, where whoever pushed it has counted them; nil for the first.
local function runOf(object)
  local run = object.run
  if type(run) ~= 'number' or run < 2 or run > MAX_RUN or run ~= math.floor(run) then return nil end
  return run
end

-- How long the job may wait, in milliseconds, or nil.
local function expiryOf(object)
  local seconds = type(object.config) == 'table' and object.config.expires_in_seconds
  if type(seconds) == 'string' and #seconds <= 15 and string.find(seconds, '^%d+%.?%d*$') then seconds = tonumber(seconds) end
  if type(seconds) ~= 'number' or seconds <= 0 or seconds > MAX_EXPIRY_SECONDS then return nil end
  return math.ceil(seconds * 1000)
end

-- The moment at which the job expires, in milliseconds since 1970, or nil.
local function expiryMomentOf(object)
  local text = type(object.config) == 'table' and object.config.expires_at
  return type(text) == 'string' and momentOfText(text) or nil
end

-- Id, type, user, priority, model, run and time limit of an element, or nil and the reason why there is no job in it. A field
-- that is wrong is left out; that the job fails because of it is decided by who takes it.
local function readCard(raw)
  if #raw > MAX_BYTES then return nil, 'the element is too large: it has ' .. #raw .. ' bytes' end
  local object, reason = unwrap(raw)
  if not object then return nil, reason end
  local id, jobType = idText(firstGiven(object, { 'id', 'jobId', 'job_id' })), typeOf(object)
  if not given(id) then return nil, 'the job has no id (id, jobId, job_id)' end
  if not isSafeId(id) then
    return nil, "the job's id must be 1 to 128 letters, digits, '-' or '_', beginning with a letter or digit"
  end
  if not given(jobType) or jobType == '' then return nil, 'the job has no type (type, jobType, job_type)' end
  if type(jobType) ~= 'string' then return nil, "the job's type must be a text" end
  local user = idText(firstGiven(object, { 'user_id', 'userId' }))
  local model = firstGiven(object, { 'model_variant', 'modelVariant' })
  return {
    id = id,
    type = RENAMED_TYPES[jobType] or jobType,
    user = isSafeId(user) and user or 'anonymous',
    priority = isPriority(object.priority) and object.priority or 0,
    model = isModelName(model) and model or nil,
    run = runOf(object),
    expiresIn = expiryOf(object),
    expiresAt = expiryMomentOf(object)
  }
end

-- What an element requests, under the present names: without id, time stamp and run, which say nothing of it, without what
-- is not given, and with the defaults that its reader fills in.
local function requestOf(raw)
  local object = unwrap(raw)
  if type(object) ~= 'table' then return raw end
  local request = {}
  for name, value in pairs(object) do
    if given(value) then request[name] = value end
  end
  for _, names in ipairs(DIALECTS) do
    local value = firstGiven(object, names)
    for _, name in ipairs(names) do request[name] = nil end
    request[names[1]] = value
  end
  request.id, request.created_at, request.run = nil, nil, nil
  request.type = RENAMED_TYPES[request.type] or request.type
  request.user_id = request.user_id and idText(request.user_id) or 'anonymous'
  request.priority = request.priority or 0
  request.config, request.metadata = request.config or {}, request.metadata or {}
  return request
end

local function isEqual(one, other)
  if type(one) ~= 'table' or type(other) ~= 'table' then return one == other end
  for name, value in pairs(one) do
    if not isEqual(value, other[name]) then return false end
  end
  for name in pairs(other) do
    if one[name] == nil then return false end
  end
  return true
end

-- Whether two elements request the same job.
local function isSameRequest(raw, other)
  if raw == other then return true end
  local isRead, isSame = pcall(function() return isEqual(requestOf(raw), requestOf(other)) end)
  return isRead and isSame
end
