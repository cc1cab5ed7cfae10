--- models.weights: the published weights of each network, and how they come to this machine.
-- A file of the cache folder (MASCON_CACHE, else ~/.cache/mascon) is taken as it is; what is not there
-- is fetched by curl and put there once its SHA-256 begins as its name says.

local layer = require "mascon.ffi"
local options = require "mascon.options"
local output = require "mascon.output"
local files = require "mascon.utils.files"

local C = layer.C
local M = {}

local URL = "https://download.pytorch.org/models/"

-- network, weights, file (its name ends with the beginning of its SHA-256), shorter side before the
-- crop; the last ones of a network are its DEFAULT
local rows = {
  { "alexnet", "IMAGENET1K_V1", "alexnet-owt-7be5be79.pth", 256 },
  { "resnet18", "IMAGENET1K_V1", "resnet18-f37072fd.pth", 256 },
  { "resnet34", "IMAGENET1K_V1", "resnet34-b627a593.pth", 256 },
  { "resnet50", "IMAGENET1K_V1", "resnet50-0676ba61.pth", 256 },
  { "resnet50", "IMAGENET1K_V2", "resnet50-11ad3fa6.pth", 232 },
  { "resnet101", "IMAGENET1K_V1", "resnet101-63fe2227.pth", 256 },
  { "resnet101", "IMAGENET1K_V2", "resnet101-cd907fc2.pth", 232 },
  { "resnet152", "IMAGENET1K_V1", "resnet152-394f9c45.pth", 256 },
  { "resnet152", "IMAGENET1K_V2", "resnet152-f82ba261.pth", 232 },
  { "resnext50_32x4d", "IMAGENET1K_V1", "resnext50_32x4d-7cdf4587.pth", 256 },
  { "resnext50_32x4d", "IMAGENET1K_V2", "resnext50_32x4d-1a0047aa.pth", 232 },
  { "resnext101_32x8d", "IMAGENET1K_V1", "resnext101_32x8d-8ba56ff5.pth", 256 },
  { "resnext101_32x8d", "IMAGENET1K_V2", "resnext101_32x8d-110c445d.pth", 232 },
  { "resnext101_64x4d", "IMAGENET1K_V1", "resnext101_64x4d-173b62eb.pth", 232 },
  { "wide_resnet50_2", "IMAGENET1K_V1", "wide_resnet50_2-95faca4d.pth", 256 },
  { "wide_resnet50_2", "IMAGENET1K_V2", "wide_resnet50_2-9ba9bcbe.pth", 232 },
  { "wide_resnet101_2", "IMAGENET1K_V1", "wide_resnet101_2-32ee1156.pth", 256 },
  { "wide_resnet101_2", "IMAGENET1K_V2", "wide_resnet101_2-d733dc28.pth", 232 },
}

local MEAN, STD = { 0.485, 0.456, 0.406 }, { 0.229, 0.224, 0.225 }

--- What brings a picture (uint8 {C, H, W}) into the form that the network was trained on.
---@param resize integer
---@param given? table crop_size, resize_size, mean, std
local function transforms(resize, given)
  local T = require "mascon.transforms"
  local o = options.read("transforms", given, {
    { "crop_size", 224, "integer", min = 1 }, { "resize_size", resize, "integer", min = 1 },
    { "mean", MEAN, "table" }, { "std", STD, "table" },
  })
  return T.Compose { T.Resize(o.resize_size), T.CenterCrop(o.crop_size), T.ToTensor(),
    T.Normalize(o.mean, o.std) }
end

-- Entries -----------------------------------------------------------------------------------------------

local Entry = {
  __index = function(_, name)
    if name == "categories" then
      return require "mascon.models.imagenet"
    end
  end,
  __tostring = function(self)
    return ("weights %s of %s (%s)"):format(self.name, self.model, self.url)
  end,
}

--- Whether v is one of the known weights.
function M.is_entry(v)
  return type(v) == "table" and getmetatable(v) == Entry
end

--- Weights by network and name: {model, name, url, file, sha256 (how it begins), categories,
--- transforms}.
M.known = {}

for _, row in ipairs(rows) do
  local model, name, file, resize = unpack(row)
  M.known[model] = M.known[model] or {}
  local entry = setmetatable({ model = model, name = name, url = URL .. file, file = file,
    sha256 = file:match "%-(%x+)%.pth$" }, Entry)
  function entry.transforms(first, given)
    if first == entry then -- called with ":"
      first = given
    end
    return transforms(resize, first)
  end
  M.known[model][name], M.known[model].DEFAULT = entry, entry
end

-- Finding -----------------------------------------------------------------------------------------------

local function exists(path)
  local file = io.open(path, "rb")
  if file then
    file:close()
  end
  return file ~= nil
end

--- The folder for files that are fetched once.
---@return string
function M.cache_folder()
  local given = os.getenv "MASCON_CACHE"
  if given and given ~= "" then
    return given
  end
  return (os.getenv "HOME" or ".") .. "/.cache/mascon"
end

--- Fetches the file of an entry; an error tells where to put it by other means.
local function fetch(entry, folder, path)
  files.make_folder(entry.model, folder)
  output.stderr:write(("mascon: fetching %s to %s\n"):format(entry.url, folder))
  local status = C.mascon_download_sha256(entry.url, path, entry.sha256)
  if status == 0 then
    return
  elseif status == C.MASCON_E_INTERRUPTED then
    layer.raise_last(entry.model)
  end
  options.fail(entry.model, ("weights %s are not in %s: %s"):format(entry.name, folder,
    layer.string(C.mascon_last_error().message)),
    ('put %s there as %s, or give weights = "PATH"'):format(entry.url, path))
end

--- The path of an entry's file, fetched where it is not there.
---@return string
function M.path_of(entry)
  local folder = M.cache_folder()
  local path = folder .. "/" .. entry.file
  if not exists(path) then
    fetch(entry, folder, path)
  end
  return path
end

local function names_of(model)
  local list = {}
  for name in pairs(M.known[model] or {}) do
    list[#list + 1] = name
  end
  table.sort(list)
  return list
end

--- The entry that a network's option `weights` names, or nil and the path that it is.
---@param model string
---@param weights string|table a name ("IMAGENET1K_V2", "DEFAULT"), an entry, or a path
---@return table? entry, string? path
function M.find(model, weights)
  if M.is_entry(weights) then
    if weights.model ~= model then
      options.fail(model, ("weights are those of %s"):format(weights.model))
    end
    return weights
  elseif type(weights) ~= "string" or weights == "" then
    options.fail(model, ("weights is %s; expected a path or a name"):format(options.show(weights)),
      "names: " .. table.concat(names_of(model), ", "))
  end
  local entry = M.known[model] and M.known[model][weights]
  if entry then
    return entry
  elseif not weights:find "[./]" and not exists(weights) then
    local names = names_of(model)
    local nearest = options.nearest(weights, names)
    options.fail(model, ("there is no file and there are no weights %s"):format(options.show(weights)),
      nearest and ('did you mean "%s"? names: %s'):format(nearest, table.concat(names, ", "))
      or "names: " .. table.concat(names, ", "))
  end
  return nil, weights
end

--- The entry that a file was made from, told by its name; nil for others.
function M.of_file(model, path)
  local file = path:match "[^/]*$"
  for _, entry in pairs(M.known[model] or {}) do
    if entry.file == file then
      return entry
    end
  end
end

return M
