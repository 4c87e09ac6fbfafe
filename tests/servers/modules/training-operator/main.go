// Command training-operator runs the Training Operator's own PyTorchJob controller and its validating webhook beside
// a test's API server.
//
// Its upstream command listens on every interface and takes its certificate from a fixed folder below /tmp, which a
// cluster mounts there. This one puts the same parts together on loopback, with the certificate that it is given.
package main

import (
	"flag"
	"log"

	"k8s.io/apimachinery/pkg/runtime"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/util/flowcontrol"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/log/zap"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"
	"sigs.k8s.io/controller-runtime/pkg/webhook"

	kubeflowv1 "github.com/kubeflow/training-operator/pkg/apis/kubeflow.org/v1"
	"github.com/kubeflow/training-operator/pkg/config"
	controllerv1 "github.com/kubeflow/training-operator/pkg/controller.v1"
	"github.com/kubeflow/training-operator/pkg/controller.v1/common"
	"github.com/kubeflow/training-operator/pkg/webhooks"
)

const loopback = "127.0.0.1"

func main() {
	probes := flag.String("health-probe-bind-address", "0", "Address of /healthz and /readyz; 0 for none.")
	port := flag.Int("webhook-port", 0, "Port of the validating webhook on loopback.")
	folder := flag.String("certificates", "", "Folder of the webhook's certificate.")
	name := flag.String("certificate", "tls", "Name of the certificate there, NAME.crt and NAME.key.")
	threads := flag.Int("controller-threads", 1, "Workers of the controller.")
	flag.StringVar(&config.Config.PyTorchInitContainerImage, "pytorch-init-container-image",
		config.PyTorchInitContainerImageDefault, "Image of the init container of workers.")
	flag.StringVar(&config.Config.PyTorchInitContainerTemplateFile, "pytorch-init-container-template-file",
		config.PyTorchInitContainerTemplateFileDefault, "Template of that container.")
	flag.IntVar(&config.Config.PyTorchInitContainerMaxTries, "pytorch-init-container-max-tries",
		config.PyTorchInitContainerMaxTriesDefault, "How often it looks for the master.")
	flag.Parse()
	ctrl.SetLogger(zap.New())

	scheme := runtime.NewScheme()
	utilruntime.Must(clientgoscheme.AddToScheme(scheme))
	utilruntime.Must(kubeflowv1.AddToScheme(scheme))
	configuration := ctrl.GetConfigOrDie()
	// Wider than upstream's 20 and 30: tests must not measure its patience.
	configuration.RateLimiter = flowcontrol.NewTokenBucketRateLimiter(200, 300)
	manager, err := ctrl.NewManager(configuration, ctrl.Options{
		Scheme:                 scheme,
		Metrics:                metricsserver.Options{BindAddress: "0"},
		HealthProbeBindAddress: *probes,
		WebhookServer: webhook.NewServer(webhook.Options{
			Host: loopback, Port: *port, CertDir: *folder, CertName: *name + ".crt", KeyName: *name + ".key",
		}),
	})
	must(err)
	kind := kubeflowv1.PyTorchJobKind
	must(controllerv1.SupportedSchemeReconciler[kind](manager, common.GenNonGangSchedulerSetupFunc(), *threads))
	must(webhooks.SupportedSchemeWebhook[kind](manager))
	must(manager.AddHealthzCheck("healthz", healthz.Ping))
	must(manager.AddReadyzCheck("readyz", manager.GetWebhookServer().StartedChecker()))
	must(manager.Start(ctrl.SetupSignalHandler()))
}

func must(err error) {
	if err != nil {
		log.Fatal(err)
	}
}
