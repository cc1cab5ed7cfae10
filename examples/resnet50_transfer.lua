-- Transfer learning, the lecture's third part: a ResNet-50 trained on ImageNet, frozen, with a new last layer for
-- CIFAR-10's pictures resized to 224.
--   --cache-features    computes the frozen part once for each picture instead of once an epoch
--   --fine_tune layer4  then trains that part of the network, too, with a tenth of the learning rate
-- Writes resnet50_transfer.svg (the curves) and resnet50_transfer_confusion.svg to --out, and with --fine_tune
-- resnet50_transfer_fine_tune.svg.
local mascon = require "mascon"
local nn, optim, data, T = mascon.nn, mascon.optim, mascon.data, mascon.transforms
local lecture = require "lecture"
local options = require("arguments").read(arg, nil, {
  { "weights", "IMAGENET1K_V2", "name of published weights, a file, or none (random numbers)" },
  { "cache_features", false, "compute the frozen part once; features_*.safetensors in --out are used again" },
  { "fine_tune", "", "part of the network to train after the new layer, such as layer4" },
  { "limit", 0, "at most so many pictures for each of training, validation and test (default: all)" },
  { "size", 224, "side of the pictures" },
  { "model", "resnet50", "resnet18, resnet34 ... instead" },
})

mascon.manual_seed(options.seed)
if options.threads > 0 then
  mascon.set_num_threads(options.threads)
end
local device = mascon.device(options.device)

local function refuse(...)
  io.stderr:write("resnet50_transfer.lua: ", string.format(...), "\n")
  os.exit(2, true)
end

local networks = {}
for _, name in ipairs(mascon.models.list()) do
  if name:find "resne" then
    networks[#networks + 1] = name
    networks[name] = true
  end
end
if not networks[options.model] then
  refuse("--model is %s; expected one of %s", options.model, table.concat(networks, ", "))
end

-- Pictures --------------------------------------------------------------------------------------------------

local transform = T.Compose {
  T.Resize { options.size, options.size },
  T.ToTensor(),
  T.Normalize({ 0.485, 0.456, 0.406 }, { 0.229, 0.224, 0.225 }),
}
local loaders, class_names = lecture.create_dataloaders(transform, { batch_size = options.batch_size,
  num_workers = options.workers, root = options.data, eval_transform = transform })

local function loader_of(dataset, shuffle)
  return data.DataLoader(dataset, { batch_size = options.batch_size, shuffle = shuffle, num_workers = options.workers })
end

if options.limit > 0 then
  for name, loader in pairs(loaders) do
    local indices = {}
    for i = 1, math.min(options.limit, loader.dataset:len()) do
      indices[i] = i
    end
    loaders[name] = loader_of(data.Subset(loader.dataset, indices), name == "train")
  end
end

-- Network ---------------------------------------------------------------------------------------------------

local model = mascon.models[options.model] { weights = options.weights ~= "none" and options.weights or nil }
if options.cache_features then
  model:freeze() -- the statistics of batch norm hold still, too: a picture's features never change
else
  model:requires_grad_(false)
end
local part = options.fine_tune ~= "" and model[options.fine_tune]
if options.fine_tune ~= "" and not nn.is_module(part) then
  refuse("--fine_tune is %s; the network has no such part", options.fine_tune)
elseif part and (part == model.fc or #part:parameters() == 0) then
  refuse("--fine_tune is %s; %s", options.fine_tune, part == model.fc and "the new layer is trained anyhow"
    or "that part has nothing to train")
end
local head = nn.Sequential(nn.Dropout { p = 0.2 }, nn.Linear(model.fc.in_features, #class_names))
model.fc = head
model:to(device)

-- Training --------------------------------------------------------------------------------------------------

local trained, batches = model, loaders
if options.cache_features then
  model.fc = nn.Identity()
  batches = {}
  for name, loader in pairs(loaders) do
    local features = mascon.features(model, loader,
      { file = ("%s/features_%s.safetensors"):format(options.out, name), progress = true })
    batches[name] = loader_of(features, name == "train")
  end
  trained, model.fc = head, head
end

local title = "Frozen " .. options.model
local results = lecture.train(trained, batches.train, batches.val,
  optim.Adam(trained:parameters(), { lr = options.lr }), nn.CrossEntropyLoss(),
  { epochs = options.epochs, steps = options.steps, autocast = options.autocast })
lecture.plot_loss_curves(results, title):save(options.out .. "/resnet50_transfer.svg")

if part then
  print("Fine-tuning " .. options.fine_tune)
  part:requires_grad_(true)
  trained, batches, title = model, loaders, ("%s, %s fine-tuned"):format(options.model, options.fine_tune)
  results = lecture.train(model, loaders.train, loaders.val,
    optim.Adam(model:parameters(), { lr = options.lr / 10 }), nn.CrossEntropyLoss(),
    { epochs = options.epochs, steps = options.steps, autocast = options.autocast })
  lecture.plot_loss_curves(results, title):save(options.out .. "/resnet50_transfer_fine_tune.svg")
end

local _, _, _, _, heat_map = lecture.calculate_performance(trained, batches.test, class_names, title)
heat_map:save(options.out .. "/resnet50_transfer_confusion.svg")
