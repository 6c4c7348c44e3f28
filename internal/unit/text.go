package unit

import (
	"maps"
	"path/filepath"
	"slices"
	"strings"
)

// systemdText writes a text in which a unit expands nothing.
func systemdText(text string) string { return strings.ReplaceAll(text, "%", "%%") }

// systemdWord writes one word of a command or an assignment, quoted as systemd reads it, which is not as a shell
// does: in the first word of a command no variable is expanded.
func systemdWord(text string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`).Replace(systemdText(text)) + `"`
}

// systemd is a user unit. After a crash it waits longer each time, up to five minutes; systemd before 254 does not know the
// two lines for that, warns, and always waits 3 s, up to ten times in ten minutes.
func (s Service) systemd() string {
	command := systemdWord(s.Program) + " " + strings.Join(Arguments, " ")
	var b strings.Builder
	b.WriteString(`[Unit]
Description=claudemesh daemon
After=network-online.target
Wants=network-online.target
StartLimitIntervalSec=600
StartLimitBurst=10

[Service]
Type=simple
ExecStart=` + command + `
Restart=on-failure
RestartSec=3
RestartSteps=6
RestartMaxDelaySec=300
RestartPreventExitStatus=2 3 6 7
StandardOutput=append:` + systemdText(s.Log) + `
StandardError=append:` + systemdText(s.Log) + `
UMask=0077
Environment="PATH=/usr/local/bin:/usr/bin:/bin"
`)
	for _, name := range slices.Sorted(maps.Keys(s.Variables)) {
		b.WriteString("Environment=" + systemdWord(name+"="+s.Variables[name]) + "\n")
	}
	b.WriteString(`
[Install]
WantedBy=default.target
`)
	return b.String()
}

// launchd is a property list. It cannot tell one exit status from another, only success: that is what --service-managed is
// for.
func (s Service) launchd() string {
	var b strings.Builder
	b.WriteString(`<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE plist PUBLIC "-//Apple//DTD PLIST 1.0//EN" "http://www.apple.com/DTDs/PropertyList-1.0.dtd">
<plist version="1.0">
<dict>
	<key>Label</key>
	<string>` + launchdName + `</string>
	<key>ProgramArguments</key>
	<array>
`)
	for _, word := range append([]string{s.Program}, Arguments...) {
		b.WriteString("\t\t<string>" + xmlText(word) + "</string>\n")
	}
	b.WriteString(`	</array>
	<key>RunAtLoad</key>
	<true/>
	<key>KeepAlive</key>
	<dict>
		<key>SuccessfulExit</key>
		<false/>
	</dict>
	<key>ThrottleInterval</key>
	<integer>10</integer>
	<key>Umask</key>
	<integer>63</integer>
	<key>StandardOutPath</key>
	<string>` + xmlText(s.Log) + `</string>
	<key>StandardErrorPath</key>
	<string>` + xmlText(s.Log) + `</string>
	<key>WorkingDirectory</key>
	<string>` + xmlText(s.UserHome) + `</string>
	<key>EnvironmentVariables</key>
	<dict>
		<key>HOME</key>
		<string>` + xmlText(s.UserHome) + `</string>
		<key>PATH</key>
		<string>/usr/local/bin:/opt/homebrew/bin:/usr/bin:/bin:/usr/sbin:/sbin</string>
`)
	for _, name := range slices.Sorted(maps.Keys(s.Variables)) {
		b.WriteString("\t\t<key>" + xmlText(name) + "</key>\n\t\t<string>" + xmlText(s.Variables[name]) + "</string>\n")
	}
	b.WriteString(`	</dict>
</dict>
</plist>
`)
	return b.String()
}

// task is a task of the Windows scheduler: at logon, again a minute after a crash, up to ten times. A task has neither a log
// nor variables of its own; cmd gives it both.
func (s Service) task() string {
	var line strings.Builder
	line.WriteString("/d /s /c \"")
	for _, name := range slices.Sorted(maps.Keys(s.Variables)) {
		line.WriteString(`set "` + name + "=" + s.Variables[name] + `" && `)
	}
	line.WriteString(`"` + s.Program + `" ` + strings.Join(Arguments, " ") + ` >> "` + s.Log + `" 2>&1"`)
	return `<?xml version="1.0"?>
<Task version="1.2" xmlns="http://schemas.microsoft.com/windows/2004/02/mit/task">
  <RegistrationInfo>
    <Description>claudemesh daemon</Description>
  </RegistrationInfo>
  <Triggers>
    <LogonTrigger>
      <Enabled>true</Enabled>
    </LogonTrigger>
  </Triggers>
  <Settings>
    <MultipleInstancesPolicy>IgnoreNew</MultipleInstancesPolicy>
    <DisallowStartIfOnBatteries>false</DisallowStartIfOnBatteries>
    <StopIfGoingOnBatteries>false</StopIfGoingOnBatteries>
    <ExecutionTimeLimit>PT0S</ExecutionTimeLimit>
    <RestartOnFailure>
      <Interval>PT1M</Interval>
      <Count>10</Count>
    </RestartOnFailure>
    <Hidden>true</Hidden>
  </Settings>
  <Actions Context="Author">
    <Exec>
      <Command>cmd.exe</Command>
      <Arguments>` + xmlText(line.String()) + `</Arguments>
      <WorkingDirectory>` + xmlText(filepath.ToSlash(s.UserHome)) + `</WorkingDirectory>
    </Exec>
  </Actions>
</Task>
`
}
