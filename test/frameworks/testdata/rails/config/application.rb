require "rails"
require "action_controller/railtie"

class App < Rails::Application
  config.root = File.expand_path("..", __dir__)
  config.eager_load = false
  config.cache_classes = false
  config.secret_key_base = "x" * 40
end
