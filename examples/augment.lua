-- A small residual network on CIFAR-10 with what brings accuracy: shifted and mirrored pictures, a learning
-- rate that rises and falls once (one cycle), and AdamW.
-- Writes augment_pictures.svg, augment.svg (the curves) and augment_confusion.svg to --out.
local mascon = require "mascon"
local nn, optim, plot, T = mascon.nn, mascon.optim, mascon.plot, mascon.transforms
local lecture = require "lecture"
local options = require("arguments").read(arg, { epochs = 12, batch_size = 128, lr = 0.01 })

mascon.manual_seed(options.seed)
if options.threads > 0 then
  mascon.set_num_threads(options.threads)
end

-- Network ---------------------------------------------------------------------------------------------------

--- Two convolutions whose result is added to their input. Where the size changes, the input passes a
--- convolution of one pixel.
local Block = nn.Module:extend "Block"

function Block:init(channels_in, channels, stride)
  self.conv1 = nn.Conv2d(channels_in, channels, 3, { stride = stride, padding = 1, bias = false })
  self.bn1 = nn.BatchNorm2d(channels)
  self.conv2 = nn.Conv2d(channels, channels, 3, { padding = 1, bias = false })
  self.bn2 = nn.BatchNorm2d(channels)
  self.shortcut = nn.Identity()
  if stride ~= 1 or channels_in ~= channels then
    self.shortcut = nn.Sequential(
      nn.Conv2d(channels_in, channels, 1, { stride = stride, bias = false }),
      nn.BatchNorm2d(channels))
  end
end

function Block:forward(x)
  local y = self.bn1(self.conv1(x)):relu()
  y = self.bn2(self.conv2(y))
  return (y + self.shortcut(x)):relu()
end

local SmallResNet = nn.Module:extend "SmallResNet"

function SmallResNet:init(output_shape)
  self.stem = nn.Sequential(nn.Conv2d(3, 32, 3, { padding = 1, bias = false }), nn.BatchNorm2d(32), nn.ReLU())
  self.layer1 = nn.Sequential(Block(32, 32, 1), Block(32, 32, 1))
  self.layer2 = nn.Sequential(Block(32, 64, 2), Block(64, 64, 1))
  self.layer3 = nn.Sequential(Block(64, 128, 2), Block(128, 128, 1))
  self.head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(128, output_shape))
end

function SmallResNet:forward(x)
  return self.head(self.layer3(self.layer2(self.layer1(self.stem(x)))))
end

-- Pictures --------------------------------------------------------------------------------------------------

local mean, std = { 0.4914, 0.4822, 0.4465 }, { 0.2470, 0.2435, 0.2616 } -- of CIFAR-10's training pictures
local changed = T.Compose { T.RandomCrop(32, { padding = 4 }), T.RandomHorizontalFlip(), T.ToTensor(),
  T.Normalize(mean, std) }
local plain = T.Compose { T.ToTensor(), T.Normalize(mean, std) }
local loaders, class_names = lecture.create_dataloaders(changed, { batch_size = options.batch_size,
  num_workers = options.workers, root = options.data, eval_transform = plain })

local X, y = lecture.first_batch(loaders.train)
local shown, titles = math.min(12, #y), {}
for i = 1, shown do
  titles[i] = class_names[y[i]:item()]
end
local function channels(values)
  return mascon.tensor(values):view(1, 3, 1, 1)
end
plot.images(X[{ { 1, shown } }] * channels(std) + channels(mean), { titles = titles })
  :save(options.out .. "/augment_pictures.svg")

-- Training --------------------------------------------------------------------------------------------------

local model = SmallResNet(#class_names):to(mascon.device(options.device))
local optimizer = optim.AdamW(model:parameters(), { lr = options.lr, weight_decay = 0.05 })
local steps = loaders.train:len()
if options.steps > 0 then
  steps = math.min(steps, options.steps)
end
local scheduler = optim.lr_scheduler.OneCycleLR(optimizer,
  { max_lr = options.lr, total_steps = options.epochs * steps })
local results = lecture.train(model, loaders.train, loaders.val, optimizer, nn.CrossEntropyLoss(),
  { epochs = options.epochs, scheduler = scheduler, steps = options.steps })
lecture.plot_loss_curves(results, "Small residual network"):save(options.out .. "/augment.svg")
local _, _, _, _, heat_map = lecture.calculate_performance(model, loaders.test, class_names,
  "Small residual network")
heat_map:save(options.out .. "/augment_confusion.svg")
