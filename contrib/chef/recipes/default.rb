# frozen_string_literal: true

# Installs dewy from a wheel into /opt/dewy/VERSION, makes it the version in use, and
# keeps applications under systemd.

version = node['dewy']['version']
url = node['dewy']['wheel']
raise "node['dewy']['wheel'] has to be the URL of a wheel" if url.nil?

wheel = "/opt/dewy/wheels/#{::File.basename(url)}"
environment = "/opt/dewy/#{version}"

package 'python3-venv'

user 'dewy' do
  system true
  home '/var/lib/dewy'
  manage_home false
  shell '/usr/sbin/nologin'
end

%w[/opt/dewy /opt/dewy/wheels].each do |path|
  directory path do
    mode '0755'
  end
end

directory '/etc/dewy' do
  mode '0700'
end

remote_file wheel do
  source url
  checksum node['dewy']['checksum']
  mode '0644'
end

execute "environment of dewy #{version}" do
  command ['python3', '-m', 'venv', environment]
  creates "#{environment}/bin/pip"
end

# An environment that exists is left as it is: a dewy may be running from it. Never
# the name `dewy` alone, which belongs to an unrelated project on the public index.
execute "dewy #{version}" do
  command ["#{environment}/bin/pip", 'install', "#{wheel}[#{node['dewy']['extras']}]"]
  creates "#{environment}/bin/dewy"
end

link '/opt/dewy/current' do
  to environment
end

link '/usr/local/bin/dewy' do
  to '/opt/dewy/current/bin/dewy'
end

execute 'systemctl daemon-reload' do
  action :nothing
end

%w[dewy@.service dewy@.socket dewy-container@.service dewy-container@.socket].each do |name|
  cookbook_file "/etc/systemd/system/#{name}" do
    source name
    mode '0644'
    notifies :run, 'execute[systemctl daemon-reload]', :immediately
  end
end

node['dewy']['applications'].each do |name, application|
  kind = application['kind'] || 'dewy'
  unit = "#{kind}@#{name}"
  # Secrets such as GITHUB_TOKEN; node.run_state never leaves the host.
  secrets = node.run_state.dig('dewy', name) || {}
  lines = { 'ARGUMENTS' => application['arguments'] }.merge(secrets)

  file "/etc/dewy/#{name}.env" do
    content lines.map { |key, value| "#{key}=#{value}\n" }.join
    mode '0600'
    sensitive true
    notifies :restart, "service[#{unit}.service]", :delayed
  end

  if application['port']
    # `--port 8080` is 0.0.0.0:8080 with server, and all addresses with container.
    address = "#{'0.0.0.0:' if kind == 'dewy'}#{application['port']}"

    directory "/etc/systemd/system/#{unit}.socket.d" do
      mode '0755'
    end

    # A socket of a service that runs cannot be restarted.
    file "/etc/systemd/system/#{unit}.socket.d/port.conf" do
      content <<~UNIT
        [Socket]
        ListenStream=
        ListenStream=#{address}
        FileDescriptorName=#{application['port']}
      UNIT
      mode '0644'
      notifies :run, 'execute[systemctl daemon-reload]', :immediately
      notifies :stop, "service[#{unit}.service]", :immediately
      notifies :restart, "service[#{unit}.socket]", :immediately
    end

    service "#{unit}.socket" do
      action %i[enable start]
    end
  end

  service "#{unit}.service" do
    action %i[enable start]
    subscribes :restart, 'link[/opt/dewy/current]', :delayed
    subscribes :restart, "cookbook_file[/etc/systemd/system/#{kind}@.service]", :delayed
  end
end
