-- ResNet-20 for CIFAR-10, with the weights that a file of PyTorch's holds: scores the test pictures.
--   mascon examples/resnet_cifar.lua --data DIR --weights resnet20-12fca82f.th
-- The file is one of akamaster's pytorch_resnet_cifar10: a training checkpoint of torch.nn.DataParallel.
local mascon = require "mascon"
local nn, T = mascon.nn, mascon.transforms
local lecture = require "lecture"
local options = require("arguments").read(arg, { batch_size = 128 }, {
  only = { "batch_size", "data", "device", "threads", "workers" },
  { "weights", "", "file with the weights" }, { "limit", 0, "score so many pictures (default: all)" },
  { "blocks", 3, "blocks of each of the three layers: 3 for ResNet-20, 5 for ResNet-32 ..." },
})

if options.threads > 0 then
  mascon.set_num_threads(options.threads)
end

-- Network ---------------------------------------------------------------------------------------------------

--- Two convolutions whose result is added to their input. Where the size changes, the input is taken at every
--- second pixel and zeros stand for the new channels (option A of the paper): no parameters.
local BasicBlock = nn.Module:extend "BasicBlock"

function BasicBlock:init(channels_in, channels, stride)
  self.conv1 = nn.Conv2d(channels_in, channels, 3, { stride = stride, padding = 1, bias = false })
  self.bn1 = nn.BatchNorm2d(channels)
  self.conv2 = nn.Conv2d(channels, channels, 3, { padding = 1, bias = false })
  self.bn2 = nn.BatchNorm2d(channels)
  self.stride, self.new_channels = stride, channels - channels_in
end

function BasicBlock:shortcut(x)
  if self.stride == 1 and self.new_channels == 0 then
    return x
  end
  local some = x[{ {}, {}, { 1, -1, 2 }, { 1, -1, 2 } }]
  local before = math.floor(self.new_channels / 2)
  return nn.functional.pad(some, { 0, 0, 0, 0, before, self.new_channels - before })
end

function BasicBlock:forward(x)
  local y = self.bn1(self.conv1(x)):relu()
  y = self.bn2(self.conv2(y))
  return (y + self:shortcut(x)):relu()
end

local ResNet = nn.Module:extend "ResNet"

local function layer(channels_in, channels, blocks, stride)
  local list = { BasicBlock(channels_in, channels, stride) }
  for i = 2, blocks do
    list[i] = BasicBlock(channels, channels, 1)
  end
  return nn.Sequential(list)
end

function ResNet:init(blocks, output_shape)
  self.conv1 = nn.Conv2d(3, 16, 3, { padding = 1, bias = false })
  self.bn1 = nn.BatchNorm2d(16)
  self.layer1 = layer(16, 16, blocks, 1)
  self.layer2 = layer(16, 32, blocks, 2)
  self.layer3 = layer(32, 64, blocks, 2)
  self.linear = nn.Linear(64, output_shape)
end

function ResNet:forward(x)
  x = self.bn1(self.conv1(x)):relu()
  x = self.layer3(self.layer2(self.layer1(x)))
  return self.linear(nn.functional.adaptive_avg_pool2d(x, 1):flatten(2))
end

-- Weights and pictures --------------------------------------------------------------------------------------

if options.weights == "" then
  io.stderr:write("resnet_cifar.lua: --weights is missing: the file with the weights (--help tells more)\n")
  os.exit(2, true)
end
local model = ResNet(options.blocks, 10)
local checkpoint = mascon.load(options.weights)
model:load_state_dict(checkpoint.state_dict or checkpoint, { strip = "module." })
model:to(mascon.device(options.device))

local transform = T.Compose { T.ToTensor(), T.Normalize({ 0.485, 0.456, 0.406 }, { 0.229, 0.224, 0.225 }) }
local test_data = mascon.datasets.CIFAR10 { root = options.data, train = false, transform = transform }
if options.limit > 0 then
  local indices = {}
  for i = 1, math.min(options.limit, test_data:len()) do
    indices[i] = i
  end
  test_data = mascon.data.Subset(test_data, indices)
end
local loader = mascon.data.DataLoader(test_data, { batch_size = options.batch_size, num_workers = options.workers })

local accuracy = lecture.calculate_performance(model, loader, test_data.classes)
print(("%d of %d pictures are right"):format(math.floor(accuracy * test_data:len() + 0.5), test_data:len()))
