-- What the queue itself must know of an element that a producer pushed: its job's id, and what decides its place. The
-- element is kept as it is; what it means is decided by the contract's decodeElement when it is taken. An element that
-- decodeElement reads is never refused here.
local MOST_BYTES = 3 * 1048576
local MOST_WRAPPERS = 6

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
  for _ = 0, MOST_WRAPPERS do
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
  return nil, 'the element is wrapped more than ' .. MOST_WRAPPERS .. ' times'
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

-- Id, type, user, priority and model of an element, or nil and the reason why there is no job in it. A field that is
-- wrong is left out; that the job fails because of it is decided by who takes it.
local function readCard(raw)
  if #raw > MOST_BYTES then return nil, 'the element is too large: it has ' .. #raw .. ' bytes' end
  local object, reason = unwrap(raw)
  if not object then return nil, reason end
  local id, jobType = firstGiven(object, { 'id', 'jobId', 'job_id' }), typeOf(object)
  if not given(id) then return nil, 'the job has no id (id, jobId, job_id)' end
  if not isSafeId(id) then
    return nil, "the job's id must be 1 to 128 letters, digits, '-' or '_', beginning with a letter or digit"
  end
  if not given(jobType) or jobType == '' then return nil, 'the job has no type (type, jobType, job_type)' end
  if type(jobType) ~= 'string' then return nil, "the job's type must be a text" end
  local user = firstGiven(object, { 'user_id', 'userId' })
  local model = firstGiven(object, { 'model_variant', 'modelVariant' })
  return {
    id = id,
    type = jobType,
    user = isSafeId(user) and user or 'anonymous',
    priority = isPriority(object.priority) and object.priority or 0,
    model = isModelName(model) and model or nil
  }
end
