-- The five best ImageNet classes of pictures.
--   mascon examples/classify.lua --weights resnet50-11ad3fa6.pth PICTURE...
local mascon = require "mascon"
local options = require("arguments").read(arg, nil, {
  only = { "device", "threads" }, rest = "PICTURE...",
  { "weights", "DEFAULT", "name of published weights, or a file" },
  { "model", "resnet50", "resnet18, resnet34 ... instead" },
  { "top", 5, "how many classes to print" },
})
if #options == 0 then
  io.stderr:write("classify.lua: no picture is named (--help tells more)\n")
  os.exit(2, true)
end
local known = {}
for _, name in ipairs(mascon.models.list()) do
  known[name] = true
end
if options.top < 1 or not known[options.model] then
  io.stderr:write("classify.lua: ", options.top < 1 and "--top is 0; expected a whole number of 1 or more\n"
    or ("--model is %s; expected one of %s\n"):format(options.model, table.concat(mascon.models.list(), ", ")))
  os.exit(2, true)
end
if options.threads > 0 then
  mascon.set_num_threads(options.threads)
end

local device = mascon.device(options.device)
local model = mascon.models[options.model] { weights = options.weights }:to(device):eval()
local categories = mascon.models.weights[options.model].DEFAULT.categories

for _, path in ipairs(options) do
  local picture = mascon.image.read(path, { channels = 3 })
  local scores = mascon.no_grad(function()
    return model(model.preprocess(picture):unsqueeze(1):to(device)):softmax(2)
  end)
  local values, indices = scores:topk(math.min(options.top, #categories))
  print(path)
  for i = 1, values:size(2) do
    print(("  %5.1f %%  %s"):format(values[{ 1, i }]:item() * 100, categories[indices[{ 1, i }]:item()]))
  end
end
